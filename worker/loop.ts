import { setTimeout as sleep } from "node:timers/promises";
import type { Cloud } from "../cloud/connect.ts";
import { type LogFields, log, withLogFields } from "../cloud/log.ts";
import { reasonOf } from "../cloud/versions.ts";
import { awakeNow } from "../protocol/awake-time.ts";
import { isOutage, isPermanent } from "../protocol/errors.ts";
import { MAX_REASON_CHARACTERS, taskSchema } from "../protocol/messages.ts";
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

/** A task that was taken this often kills its workers (out of memory, most likely), or S3 is away for too long. */
const MAX_TAKES = 20;
/** An error of the model itself that comes back this often will not go away. */
const MAX_FAULTS = 3;
/** Together with the takes, an outage of four minutes does not end a job. */
const MAX_BACKOFF_SECONDS = 15;
const RETRY_MS = 500;
/** How long S3 and SQS may be out of reach before the worker gives up. */
export const MAX_OUTAGE_MS = 300_000;

/** Takes and performs tasks until the job ends, nothing comes for a while, or `signal` says stop. */
export async function work(loop: Loop, signal: AbortSignal): Promise<void> {
  for (let lease = await nextLease(loop, signal); lease; lease = await nextLease(loop, signal)) {
    const { body } = lease;
    await withLogFields(logFieldsOf(body), () => workOn(loop, lease, signal));
  }
}

/** Performs a task, and acknowledges it once its effect is stored. Never throws: a failure goes back to the queue, or ends the job. */
async function workOn(loop: Loop, lease: Lease, signal: AbortSignal): Promise<void> {
  try {
    const task = parseAs(taskSchema, lease.body, "a task");
    log.debug("task taken", { receives: lease.receives });
    if (lease.receives > MAX_TAKES)
      await reportFailure(loop, `a task was taken ${MAX_TAKES} times and never done: ${lease.body}`);
    else await loop.tasks.perform(task);
    await lease.acknowledge();
  } catch (error) {
    // A worker that stops has given its lease back: the next worker to take the task meets the error, if it is one.
    if (signal.aborted) log.info("task left", { error });
    else await settleFailure(loop, lease, error);
  }
}

/** Waits for the next task. Returns null when there is nothing more to do. */
async function nextLease({ cloud, job, leases, idleMs }: Loop, signal: AbortSignal): Promise<Lease | null> {
  const start = awakeNow();
  for (let answered = start; awakeNow() - start < idleMs && !signal.aborted; ) {
    try {
      const taken = await leases.take(signal);
      if (taken === "gone") return null;
      if (taken) return taken;
      const stated = await cloud.jobs.findState(job);
      if (!stated || isEnded(stated.state)) return null;
      answered = awakeNow();
    } catch (error) {
      if (signal.aborted) return null;
      if (awakeNow() - answered > MAX_OUTAGE_MS) throw error;
      log.warn("no answer from the queue", { error });
      await sleep(RETRY_MS);
    }
  }
  return null;
}

/** Ends the job with the reason when no further try can help; otherwise gives the task back, for a later try. */
async function settleFailure(loop: Loop, lease: Lease, error: unknown): Promise<void> {
  const { receives } = lease;
  log.warn("task failed", { receives, error });
  const tries = isOutage(error) ? MAX_TAKES : MAX_FAULTS;
  try {
    if (isPermanent(error) || receives >= tries) {
      await reportFailure(loop, await reasonOf(loop.cloud, error));
      await lease.acknowledge();
    } else {
      await lease.giveBack(Math.min(2 ** (receives - 1), MAX_BACKOFF_SECONDS));
    }
  } catch (also) {
    // Nothing is lost: the lease lapses by itself.
    log.warn("task not given back", { error: also });
  }
}

/** Asks the coordinator to end the job with a reason a person can act on. */
export async function reportFailure(
  { cloud, job, attempt }: Pick<Loop, "cloud" | "job" | "attempt">,
  reason: string,
): Promise<void> {
  const update = { kind: "fail", job, attempt, reason: reason.slice(0, MAX_REASON_CHARACTERS) } as const;
  await cloud.queues.sendUpdates(cloud.updates, [update], () => `fail-${Date.now()}`);
}

/** The log fields of a task: its kind, step, rank or version; its text when it is malformed, which `workOn` reports. */
function logFieldsOf(body: string): LogFields {
  try {
    const { kind, job: _, dispatch: __, ...numbers } = parseAs(taskSchema, body, "a task");
    return { task: kind, ...numbers };
  } catch {
    return { task: body };
  }
}
