import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { connect } from "../cloud/connect.ts";
import { log, withLogFields } from "../cloud/log.ts";
import { isPermanent } from "../protocol/errors.ts";
import { workerExit } from "../protocol/worker-exit.ts";
import { type HeldLease, LeaseRenewer } from "./lease-renewer.ts";
import { runsOnBatch, spotNotice } from "./spot.ts";
import { workerName } from "./worker-name.ts";

/**
 * A worker process: one per GPU on AWS Batch, a child process on a laptop. Its environment names the job (`PS_JOB`) and
 * the cloud. The work is done on a thread of its own (`worker-thread.ts`); this one renews the lease and handles what
 * ends the process: SIGTERM (Batch, ps-submit), the end of its parent, a Spot notice.
 *
 * With `--smoke` it only prints the device that it would compute on.
 */
async function main(env: NodeJS.ProcessEnv): Promise<never> {
  if (process.argv.includes("--smoke")) process.exit(await (await import("./smoke.ts")).smoke(env));
  const renewer = new LeaseRenewer(connect(env).queues);
  const file = import.meta.url.endsWith(".ts") ? "./worker-thread.ts" : "./worker-thread.js";
  const thread = new Worker(new URL(file, import.meta.url), { env: SHARE_ENV });
  thread.on("message", (lease: HeldLease | null) => renewer.hold(lease));
  const left = once(thread, "exit").then(([code]) => Number(code));

  const why = await Promise.race([left, askedToStop(), runsOnBatch(env) ? spotNotice(env) : never()]);
  if (typeof why === "number") process.exit(why);
  log.info("worker stopping", { why });
  thread.postMessage("stop");
  // Without a lease it leaves by itself, unless it is still loading.
  if (!renewer.held) await Promise.race([left, sleep(IDLE_MS)]);
  // In the middle of a task it need not finish: another worker may take the lease as soon as this is done.
  await Promise.race([renewer.giveBack(), sleep(GIVE_BACK_MS)]);
  if (!STOPS.has(why)) await Promise.race([askedToStop(), sleep(RECLAIM_MS)]);
  leave();
}

const IDLE_MS = 500;
const GIVE_BACK_MS = 3_000;
/** A reclaimed instance is gone after two minutes; only when Batch sees that does it try the jobs again. */
const RECLAIM_MS = 180_000;
const STOPS: ReadonlySet<string> = new Set(["SIGTERM", "SIGINT", "its parent is gone"]);

const never = () => new Promise<never>(() => {});

async function askedToStop(): Promise<string> {
  process.channel?.unref();
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve("SIGTERM"));
    process.once("SIGINT", () => resolve("SIGINT"));
    process.once("disconnect", () => resolve("its parent is gone"));
  });
}

/**
 * Ends the process although its thread computes: `process.exit` would wait for that, a signal does not. A process 1 of
 * a container would have to wait, since SIGTERM does nothing to it by default; so on AWS Batch an init process is PID 1.
 */
function leave(): never {
  process.removeAllListeners("SIGTERM");
  process.kill(process.pid, "SIGTERM");
  process.exit(workerExit.stopped);
}

await withLogFields({ job: process.env.PS_JOB, worker: workerName(process.env) }, () =>
  main(process.env).catch((error: unknown) => {
    log.error("worker failed", { error });
    process.exit(isPermanent(error) ? workerExit.refused : workerExit.crashed);
  }),
);
