import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { connect } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { isPermanent } from "../protocol/errors.ts";
import { workerExit } from "../protocol/worker-exit.ts";
import { type HeldLease, LeaseRenewer } from "./lease-renewer.ts";
import { runsOnBatch, spotNotice } from "./spot.ts";

/**
 * A worker process: one per GPU on AWS Batch, a child process on a laptop. Its environment says which job (`PS_JOB`)
 * in which cloud. The work is done on a thread of its own (`worker-thread.ts`); this one keeps the lease alive and
 * hears what ends the process: SIGTERM (Batch, ps-submit), the end of its parent, a Spot notice.
 *
 * `--smoke` in place of all that says what it would compute on.
 */
async function main(env: NodeJS.ProcessEnv): Promise<never> {
  if (process.argv.includes("--smoke")) process.exit(await (await import("./smoke.ts")).smoke(env));
  const renewer = new LeaseRenewer(connect(env).queues);
  const file = import.meta.url.endsWith(".ts") ? "./worker-thread.ts" : "./worker-thread.js";
  const thread = new Worker(new URL(file, import.meta.url), { env: SHARE_ENV });
  thread.on("message", (lease: HeldLease | null) => renewer.hold(lease));
  const left = once(thread, "exit").then(([code]) => Number(code));

  const why = await Promise.race([left, toldToStop(), runsOnBatch(env) ? spotNotice(env) : never()]);
  if (typeof why === "number") process.exit(why);
  log.info("worker stopping", { why });
  thread.postMessage("stop");
  // With nothing in hand it leaves by itself, unless it is still loading.
  if (!renewer.held) await Promise.race([left, delay(IDLE_MS)]);
  // In the middle of a task it need not go on: its lease is another's as soon as this is done.
  await Promise.race([renewer.giveBack(), delay(GIVE_BACK_MS)]);
  if (!STOPS.has(why)) await Promise.race([toldToStop(), delay(RECLAIM_MS)]);
  leave();
}

const IDLE_MS = 500;
const GIVE_BACK_MS = 3_000;
/** A reclaimed instance is gone after two minutes; Batch tries its jobs again when it sees that, and not before. */
const RECLAIM_MS = 180_000;
const STOPS: ReadonlySet<string> = new Set(["SIGTERM", "SIGINT", "its parent is gone"]);

const never = () => new Promise<never>(() => {});

async function toldToStop(): Promise<string> {
  process.channel?.unref();
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve("SIGTERM"));
    process.once("SIGINT", () => resolve("SIGINT"));
    process.once("disconnect", () => resolve("its parent is gone"));
  });
}

/**
 * Ends the process though its thread computes: `process.exit` would wait for that, a signal does not. As process 1 of
 * a container it has to wait, since there SIGTERM does nothing by itself; so on AWS Batch an init process is before it.
 */
function leave(): never {
  process.removeAllListeners("SIGTERM");
  process.kill(process.pid, "SIGTERM");
  process.exit(workerExit.stopped);
}

main(process.env).catch((error: unknown) => {
  log.error("worker failed", { error });
  process.exit(isPermanent(error) ? workerExit.refused : workerExit.crashed);
});
