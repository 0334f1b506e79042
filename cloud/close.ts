import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import { isEnded, type State } from "../protocol/records.ts";
import type { Cloud } from "./connect.ts";
import { log } from "./log.ts";

type Attempt = Pick<State, "job" | "attempt">;

/**
 * Puts away what an ended job leaves: the gradients of the step it was at, its task queue (which tells its
 * workers), its Batch jobs, and last the marker by which the watchdog knows it. May be called any number of times.
 */
export async function closeJob(cloud: Cloud, ended: Attempt & Pick<State, "status">): Promise<void> {
  await removeGradients(cloud, ended);
  await closeAttempt(cloud, ended, `the job ${ended.job} has ended: ${ended.status}`);
}

/**
 * Puts away an attempt that another one has followed, or that never began.
 *
 * @param why what AWS Batch shows as the reason that its workers were ended
 */
export async function closeAttempt(cloud: Cloud, { job, attempt }: Attempt, why: string): Promise<void> {
  await cloud.queues.removeTasks(job, attempt);
  await cloud.batch?.terminate(job, attempt, why);
  await cloud.store.remove([keys.active(job, attempt)]);
}

/**
 * The job is looked at after its gradients were listed: if it was resumed by then, some of them may be the new
 * attempt's. A resume that comes later still may count on pieces that go here; the watchdog then sees its step stall
 * and hands their tasks out again.
 */
async function removeGradients({ store, jobs }: Cloud, { job, attempt }: Attempt): Promise<void> {
  const pieces = await store.list(keys.gradients(job));
  if (pieces.length === 0) return;
  const { state } = await jobs.state(job);
  if (isEnded(state) && state.attempt === attempt) await store.remove(pieces.map(({ key }) => key));
}

/**
 * Ends a job with a reason a person can act on, and puts it away. A message may name a job that never was. One whose
 * state is damaged cannot be ended: no further try would mend that, and the watchdog keeps telling of it.
 *
 * @param attempt that the reason is about: a late word of an earlier one does not end the job that was resumed
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
