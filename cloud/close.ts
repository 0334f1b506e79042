import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { isEnded, type State } from "../protocol/records.ts";
import type { Cloud } from "./connect.ts";
import { log } from "./log.ts";

type Attempt = Pick<State, "job" | "attempt">;

/**
 * Closes an ended job: removes the gradients of its last step, its task queue (by which its workers learn of the end),
 * its Batch jobs, and last the marker by which the watchdog finds it. May be called any number of times.
 */
export async function closeJob(cloud: Cloud, ended: Attempt & Pick<State, "status">): Promise<void> {
  await removeGradients(cloud, ended);
  await closeAttempt(cloud, ended, `the job ${ended.job} has ended: ${ended.status}`);
}

/**
 * Closes an attempt that a later one superseded, or that never began.
 *
 * @param why AWS Batch shows it as the reason that its workers were ended
 */
export async function closeAttempt(cloud: Cloud, { job, attempt }: Attempt, why: string): Promise<void> {
  await cloud.queues.removeTasks(job, attempt);
  await cloud.batch?.terminate(job, attempt, why);
  await cloud.store.remove([keys.active(job, attempt)]);
}

/**
 * Reads the state after listing the gradients: if the job was resumed by then, some of them may be the new attempt's.
 * A resume that comes even later may rely on pieces that are removed here; the watchdog then sees its step stall and
 * redispatches their tasks.
 */
async function removeGradients({ store, jobs }: Cloud, { job, attempt }: Attempt): Promise<void> {
  const pieces = await store.list(keys.gradients(job));
  if (pieces.length === 0) return;
  const { state } = await jobs.state(job);
  if (isEnded(state) && state.attempt === attempt) await store.remove(pieces.map(({ key }) => key));
}

/**
 * Ends a job with a reason a person can act on, and closes it. Does nothing for a job that does not exist. A job whose
 * state is damaged cannot be ended: no further try would help, and the watchdog logs it every minute.
 *
 * @param attempt that the reason is about: a late message of an earlier one does not end the job that was resumed
 */
export async function failJob(cloud: Cloud, job: string, reason: string, attempt?: number): Promise<void> {
  log.error("job failed", { job, attempt, reason });
  try {
    if (!(await cloud.jobs.findState(job))) return;
    const state = await cloud.jobs.end(job, "failed", reason, attempt);
    if (isEnded(state)) await closeJob(cloud, state);
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    log.error("job not ended", { job, error });
  }
}
