import { attemptStatusOf } from "../../cloud/attempt-status.ts";
import { closeAttempt, closeJob } from "../../cloud/close.ts";
import type { Cloud } from "../../cloud/connect.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded } from "../../protocol/records.ts";
import { required } from "../../protocol/required.ts";
import type { OpenTarget } from "../targets/target.ts";
import { several } from "../terminal/format.ts";
import { type JobUsage, readUsage, reasonOver } from "./job-usage.ts";
import { type Leftover, whileNobodyRuns } from "./leftover.ts";

/** The parts of an attempt, whether it is used or not. */
export type Remains = {
  readonly job: string;
  readonly attempt: number;
  readonly parts: readonly string[];
  readonly newest: Date;
};

type Part = Pick<Remains, "job" | "attempt"> & { readonly what: string; readonly made: Date };

/** The task queues, markers and living workers of all attempts. */
export async function findAttempts(cloud: Cloud): Promise<Remains[]> {
  const [queues, markers, groups] = await Promise.all([
    findQueues(cloud),
    cloud.store.list(keys.actives),
    cloud.batch?.living() ?? [],
  ]);
  const parts: Part[] = [
    ...queues,
    ...groups.map(({ job, attempt, id, size, status, createdAt: made }) => {
      const what = `${several(size, "worker")}, AWS Batch job ${id}, ${status}`;
      return { job, attempt, what, made };
    }),
    ...markers.map(({ key, modified: made }) => {
      const [, job, attempt] = key.split("/");
      return {
        job: required(job, `the job in ${key}`),
        attempt: Number(attempt),
        what: `marker ${key}`,
        made,
      };
    }),
  ];
  const byAttempt = Map.groupBy(parts, ({ job, attempt }) => `${job}/${attempt}`);
  return [...byAttempt.values()].flatMap(remainsOf);
}

function remainsOf(parts: readonly Part[]): Remains[] {
  const [first] = parts;
  if (!first) return [];
  const newest = new Date(Math.max(...parts.map(({ made }) => made.getTime())));
  return [{ job: first.job, attempt: first.attempt, parts: parts.map(({ what }) => what), newest }];
}

/** Lists task queues. SQS still lists queues that were deleted just now, so each is asked. */
async function findQueues({ queues }: Cloud): Promise<Part[]> {
  const found = (await queues.listTasks()).map(async ({ name, job, attempt }) => {
    const made = await queues.tasksCreatedAt(job, attempt);
    return made === null ? [] : [{ job, attempt, what: `task queue ${name}`, made }];
  });
  return (await Promise.all(found)).flat();
}

/** @returns null for an attempt that is, or may be, of use */
export function leftOfAttempt(
  target: OpenTarget,
  remains: Remains,
  seen: JobUsage,
  now: number,
): Leftover | null {
  const { attempt, parts, newest } = remains;
  const why = reasonOver(seen, attempt, newest, now);
  if (why === null) return null;
  return { parts, why, remove: () => closeRemains(target, remains, now) };
}

/** An attempt that a later one superseded is never resumed, so for it the job may be running. */
async function closeRemains(target: OpenTarget, remains: Remains, now: number): Promise<boolean> {
  const { cloud } = target;
  const { job, attempt, newest } = remains;
  const close = async () => {
    const seen = await readUsage(cloud, job);
    const why = reasonOver(seen, attempt, newest, now);
    if (why === null) return false;
    if (seen.state?.attempt === attempt && isEnded(seen.state)) await closeJob(cloud, seen.state);
    else await closeAttempt(cloud, { job, attempt }, why);
    return true;
  };
  const { state } = await readUsage(cloud, job);
  return attemptStatusOf(attempt, state) === "superseded" ? close() : whileNobodyRuns(target, job, close);
}
