import type { Cloud } from "../../cloud/connect.ts";
import { log } from "../../cloud/log.ts";
import { keys } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";

type Attempt = Pick<State, "job" | "attempt">;

/**
 * Puts away what an ended job leaves: its tasks queue (which tells its workers), the gradients of the step it was
 * at, and last the marker by which the watchdog knows it. May be called any number of times.
 */
export async function closeJob(cloud: Cloud, ended: Attempt): Promise<void> {
  await cloud.store.removeAll(keys.gradients(ended.job));
  await closeAttempt(cloud, ended);
}

/** Puts away an attempt that another one has followed, or that never began. */
export async function closeAttempt({ store, queues }: Cloud, { job, attempt }: Attempt): Promise<void> {
  await queues.removeTasks(job, attempt);
  await store.remove([keys.active(job, attempt)]);
}

/** Ends a job with a reason a person can act on, and puts it away. A message may name a job that never was. */
export async function failJob(cloud: Cloud, job: string, reason: string): Promise<void> {
  log("job failed", { job, reason });
  if (await cloud.jobs.findState(job)) await closeJob(cloud, await cloud.jobs.end(job, "failed", reason));
}
