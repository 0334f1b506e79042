import type { Batch } from "../../cloud/batch.ts";
import { type Counts, countsIn, living, type WorkerGroup } from "../../cloud/worker-groups.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { JobRecord, State } from "../../protocol/records.ts";
import type { WorkersSeen } from "../terminal/progress.ts";
import { poolOf } from "./stack-parameters.ts";
import type { StackTarget, WorkerCount } from "./target.ts";

/** The reason that `ps-submit workers` gives Batch for ending a worker, which is then no failure. */
export const FEWER = "its user wants fewer workers";

/** Asks Batch for `size` further workers of a job. */
export async function addWorkers(target: StackTarget, record: JobRecord, state: State, size: number) {
  const { queue, definition } = poolOf(target.stack, record.provenance.device);
  const { job, attempt } = state;
  await batchOf(target).submit({ job, attempt, queue, definition, size, environment: { PS_JOB: job } });
}

/** @throws InvalidInput when the stack has no workers */
export function batchOf({ cloud, stack }: StackTarget): Batch {
  if (cloud.batch) return cloud.batch;
  poolOf(stack, "cpu");
  throw new Unrecoverable(`the stack ${stack.name} names no job queue; deploy ${stack.name}-Workers again`);
}

/** Counts the workers that run or wait. */
export const livingIn = (groups: readonly WorkerGroup[]): number =>
  groups.reduce((total, group) => total + living(group), 0);

/** Counts the workers of an attempt by status; null on a stack without workers. */
export async function countOnStack(
  { cloud }: StackTarget,
  { job, attempt }: State,
): Promise<WorkerCount | null> {
  if (cloud.batch === null) return null;
  const counts = countsIn(await cloud.batch.groups(job, attempt));
  const byStatus = Object.entries(counts).map(([status, n]) => [status.toLowerCase(), n] as const);
  return { seen: seenOf(counts, null), byStatus: Object.fromEntries(byStatus) };
}

/** `2 of 4 workers, 1 starting, 1 queued: why`. */
export function seenOf(counts: Counts, why: string | null): WorkersSeen {
  const queued = counts.SUBMITTED + counts.PENDING + counts.RUNNABLE;
  const others = [
    ...(counts.STARTING > 0 ? [`${counts.STARTING} starting`] : []),
    ...(counts.FAILED > 0 ? [`${counts.FAILED} failed`] : []),
    ...(queued > 0 ? [`${queued} queued${why === null ? "" : `: ${why}`}`] : []),
  ].join(", ");
  const alive = counts.RUNNING;
  return { alive, wanted: alive + counts.STARTING + queued, ...(others !== "" && { others }) };
}
