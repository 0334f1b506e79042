import { attemptStatusOf, ORPHAN_MS } from "../../cloud/attempt-status.ts";
import type { Cloud } from "../../cloud/connect.ts";
import { CorruptData } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { duration } from "../terminal/format.ts";

/** The facts that decide whether parts of a job are still used. */
export type JobUsage = {
  readonly state: State | null;
  /** When its `job.json` was written; null when there is none. Not asked for a job that has a state. */
  readonly recordedAt: Date | null;
};

/** @throws CorruptData when the job's state is damaged */
export async function readUsage({ jobs, store }: Cloud, job: string): Promise<JobUsage> {
  const found = await jobs.findState(job);
  if (found) return { state: found.state, recordedAt: null };
  const key = keys.job(job);
  const record = (await store.list(key)).find((object) => object.key === key);
  return { state: null, recordedAt: record?.modified ?? null };
}

/** Reads the usage of many jobs. Reports a job whose state is damaged, and leaves it out. */
export async function readUsages(cloud: Cloud, jobs: Iterable<string>, report: (problem: string) => void) {
  const seen = new Map<string, JobUsage>();
  const read = async (job: string) => {
    try {
      seen.set(job, await readUsage(cloud, job));
    } catch (error) {
      if (!(error instanceof CorruptData)) throw error;
      report(`${error.message}; nothing of ${job} is touched`);
    }
  };
  await Promise.all([...new Set(jobs)].map(read));
  return seen;
}

/**
 * Returns the reason why an attempt is over; null while it is used, or may be.
 *
 * @param newest when the newest of its parts was created
 */
export function reasonOver(
  { state, recordedAt }: JobUsage,
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
