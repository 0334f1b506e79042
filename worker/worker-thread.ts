import "../cloud/buffers.ts";
import { parentPort } from "node:worker_threads";
import { log, withLogFields } from "../cloud/log.ts";
import { isPermanent } from "../protocol/errors.ts";
import { workerExit } from "../protocol/worker-exit.ts";
import { runWorker } from "./run.ts";
import { workerName } from "./worker-name.ts";

/** The thread of a worker process that does its work. It sends the other one each lease that it holds. */
const stop = new AbortController();
parentPort?.once("message", () => stop.abort());
parentPort?.unref();

await withLogFields({ job: process.env.PS_JOB, worker: workerName(process.env) }, async () => {
  try {
    process.exit(await runWorker(process.env, (lease) => parentPort?.postMessage(lease), stop.signal));
  } catch (error) {
    log.error("worker failed", { error });
    process.exit(isPermanent(error) ? workerExit.refused : workerExit.crashed);
  }
});
