import { attemptStatusOf } from "../../cloud/attempt-status.ts";
import { keys } from "../../protocol/keys.ts";
import type { OpenTarget } from "../targets/target.ts";
import { findAttempts, leftOfAttempt } from "./attempts.ts";
import { leftOfGradients } from "./gradients.ts";
import { readUsages } from "./job-usage.ts";
import type { Leftover } from "./leftover.ts";
import { leftOfRecord } from "./records.ts";
import { leftUploads } from "./uploads.ts";

/**
 * Finds everything that no job needs any more, in the order in which to remove it: an attempt before its job's record.
 *
 * @param report gets a sentence about each job that cannot be judged
 */
export async function findLeftovers(
  target: OpenTarget,
  report: (problem: string) => void,
  now = Date.now(),
): Promise<Leftover[]> {
  const [attempts, withGradients, recorded] = await Promise.all([
    findAttempts(target.cloud),
    jobsBelow(target, keys.allGradients),
    jobsBelow(target, keys.jobs),
  ]);
  const jobs = [...recorded, ...withGradients, ...attempts.map(({ job }) => job)];
  const seen = await readUsages(target.cloud, jobs, report);
  // A process of this machine that runs a job closes it itself.
  const busy = await target.runningHere();
  const found: (Leftover | null)[] = attempts.map((remains) => {
    const job = seen.get(remains.job);
    const isSuperseded = attemptStatusOf(remains.attempt, job?.state ?? null) === "superseded";
    return job && (isSuperseded || !busy.has(remains.job)) ? leftOfAttempt(target, remains, job, now) : null;
  });
  for (const [job, one] of seen) {
    if (busy.has(job)) continue;
    found.push(await leftOfGradients(target, job, one), leftOfRecord(target, job, one, now));
  }
  return [...found, ...(await leftUploads(target, now))].filter((leftover) => leftover !== null);
}

/** Lists the jobs that have a folder right below a prefix. */
async function jobsBelow({ cloud }: OpenTarget, prefix: string): Promise<string[]> {
  return (await cloud.store.listFolders(prefix)).map((folder) => folder.slice(prefix.length, -1));
}
