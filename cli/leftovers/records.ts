import { keys } from "../../protocol/keys.ts";
import { commandFor } from "../targets/address.ts";
import type { OpenTarget } from "../targets/target.ts";
import { duration } from "../terminal/format.ts";
import { type JobUsage, readUsage } from "./job-usage.ts";
import { type Leftover, whileNobodyRuns } from "./leftover.ts";

/** The same submission would complete one that died halfway; after this long it counts as given up. */
const FORGOTTEN_MS = 86_400_000;

/** @returns null for a job that has begun, or has no record */
export function leftOfRecord(target: OpenTarget, job: string, seen: JobUsage, now: number): Leftover | null {
  if (seen.state !== null || seen.recordedAt === null) return null;
  const age = now - seen.recordedAt.getTime();
  const parts = [`record ${keys.job(job)}`];
  const why = `it was not submitted to the end, ${duration(age)} ago`;
  if (age <= FORGOTTEN_MS) {
    return { parts, why: `${why}; finish that with: ${commandFor(target.address, "JOBFILE")}`, remove: null };
  }
  return { parts, why, remove: () => whileNobodyRuns(target, job, () => removeRecord(target, job)) };
}

/**
 * Removes a record. A submission that is being completed sets the marker, then writes the record again. So if the
 * marker is not there after the removal, the submission will write the record; if it is there, the record is put back.
 */
async function removeRecord({ cloud }: OpenTarget, job: string): Promise<boolean> {
  const { state, recordedAt } = await readUsage(cloud, job);
  const stored = await cloud.store.get(keys.job(job));
  if (state !== null || recordedAt === null || stored === null) return false;
  const marked = async () => (await cloud.store.list(`${keys.actives}${job}/`)).length > 0;
  if (await marked()) return false;
  await cloud.store.remove([keys.job(job)]);
  if (!(await marked())) return true;
  await cloud.store.create(keys.job(job), stored.body);
  return false;
}
