import { setTimeout as delay } from "node:timers/promises";
import type { Cloud } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { describe, isOutage, isPermanent } from "../protocol/errors.ts";
import { MOST_REASON, taskSchema } from "../protocol/messages.ts";
import { parseAs } from "../protocol/parse.ts";
import { isEnded } from "../protocol/records.ts";
import type { Lease, Leases } from "./lease.ts";
import type { Tasks } from "./tasks.ts";

export type Loop = {
  readonly cloud: Cloud;
  readonly job: string;
  /** Whose task queue this is. */
  readonly attempt: number;
  readonly leases: Leases;
  readonly tasks: Pick<Tasks, "perform">;
  /** How long to wait for a task before leaving, in milliseconds. */
  readonly idleMs: number;
};

/** A task that was taken this often kills its holders (out of memory, most likely), or S3 is away for too long. */
const TAKES = 20;
/** An error of the model's own that comes back this often will not go away. */
const FAULTS = 3;
/** Together with the takes: an outage of four minutes is no job's end. */
const MAX_BACKOFF_SECONDS = 15;
const RETRY_MS = 500;
/** How long S3 and SQS may be out of reach before the worker gives up. */
export const OUTAGE_MS = 300_000;

/** Does tasks until the job ends, nothing comes for a while, or `signal` says stop. */
export async function work(loop: Loop, signal: AbortSignal): Promise<void> {
  for (let lease = await next(loop, signal); lease; lease = await next(loop, signal)) {
    try {
      const task = parseAs(taskSchema, lease.body, "a message");
      if (lease.receives > TAKES)
        await failJob(loop, `a task was taken ${TAKES} times and never done: ${lease.body}`);
      else await loop.tasks.perform(task);
      await lease.acknowledge();
    } catch (error) {
      // A worker that stops has given its lease back: whoever takes the task next meets the error, if it is one.
      if (signal.aborted) log.info("task left", { task: lease.body, error });
      else await putDown(loop, lease, error);
    }
  }
}

/** The next task, or null when there is nothing more to do. */
async function next({ cloud, job, leases, idleMs }: Loop, signal: AbortSignal): Promise<Lease | null> {
  let heard = Date.now();
  for (const since = heard; Date.now() - since < idleMs && !signal.aborted; ) {
    try {
      const taken = await leases.take(signal);
      if (taken === "gone") return null;
      if (taken) return taken;
      const found = await cloud.jobs.findState(job);
      if (!found || isEnded(found.state)) return null;
      heard = Date.now();
    } catch (error) {
      if (signal.aborted) return null;
      if (Date.now() - heard > OUTAGE_MS) throw error;
      log.warn("no answer from the queue", { error });
      await delay(RETRY_MS);
    }
  }
  return null;
}

/** A task that went wrong: for good, and the job ends with the reason; or not, and someone tries again. */
async function putDown(loop: Loop, lease: Lease, error: unknown): Promise<void> {
  const { body: task, receives } = lease;
  log.warn("task failed", { task, receives, error });
  const tries = isOutage(error) ? TAKES : FAULTS;
  try {
    if (isPermanent(error) || receives >= tries) {
      await failJob(loop, describe(error));
      await lease.acknowledge();
    } else {
      await lease.giveBack(Math.min(2 ** (receives - 1), MAX_BACKOFF_SECONDS));
    }
  } catch (also) {
    // Nothing is lost: the lease lapses by itself.
    log.warn("task not given back", { error: also });
  }
}

/** Ends the job with a reason a person can act on. */
export async function failJob(
  { cloud, job, attempt }: Pick<Loop, "cloud" | "job" | "attempt">,
  reason: string,
): Promise<void> {
  const update = { kind: "fail", job, attempt, reason: reason.slice(0, MOST_REASON) } as const;
  await cloud.queues.sendUpdates(cloud.updates, [update], () => `fail-${Date.now()}`);
}
