import { attemptStatusOf, ORPHAN_MS } from "../../cloud/attempt-status.ts";
import type { Cloud } from "../../cloud/connect.ts";
import { CorruptData } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { duration } from "../terminal/format.ts";

/** What decides whether something of a job is of use. */
export type JobSeen = {
  readonly state: State | null;
  /** When its `job.json` was written; null when there is none. Not asked for a job that has a state. */
  readonly recordedAt: Date | null;
};

/** @throws CorruptData when the job's state is damaged */
export async function lookAt({ jobs, store }: Cloud, job: string): Promise<JobSeen> {
  const found = await jobs.findState(job);
  if (found) return { state: found.state, recordedAt: null };
  const key = keys.job(job);
  const record = (await store.list(key)).find((object) => object.key === key);
  return { state: null, recordedAt: record?.modified ?? null };
}

/** The same for many jobs; what is damaged is told, and the job left out. */
export async function lookAtAll(cloud: Cloud, jobs: Iterable<string>, tell: (problem: string) => void) {
  const seen = new Map<string, JobSeen>();
  const look = async (job: string) => {
    try {
      seen.set(job, await lookAt(cloud, job));
    } catch (error) {
      if (!(error instanceof CorruptData)) throw error;
      tell(`${error.message}; nothing of ${job} is touched`);
    }
  };
  await Promise.all([...new Set(jobs)].map(look));
  return seen;
}

/**
 * Why an attempt is of no use any more; null while it is, or may be.
 *
 * @param newest when the newest of its parts came to be
 */
export function whyOver(
  { state, recordedAt }: JobSeen,
  attempt: number,
  newest: Date,
  now: number,
): string | null {
  const status = attemptStatusOf(attempt, state);
  if (state !== null && status === "ended") return `the job has ended: ${state.status}`;
  if (state !== null && status === "superseded") return `attempt ${state.attempt} superseded it`;
  if (status === "present") return null;
  if (state === null && recordedAt === null) return "there is no such job";
  const age = now - newest.getTime();
  return age > ORPHAN_MS ? `attempt ${attempt} never began, and is ${duration(age)} old` : null;
}
