import type { JobDetail, JobSummary } from "@aws-sdk/client-batch";
import { Unrecoverable } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";

/** The workers that AWS Batch has for a job, in this system's terms. */

export type Device = "gpu" | "cpu";

/** The statuses of a Batch job, in order. */
export const workerStatuses = [
  "SUBMITTED",
  "PENDING",
  "RUNNABLE",
  "STARTING",
  "RUNNING",
  "SUCCEEDED",
  "FAILED",
] as const;
export type WorkerStatus = (typeof workerStatuses)[number];

/** The workers of one submission: a Batch array job, or a plain job for a single one. */
export type WorkerGroup = {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  /** Of an array job, PENDING from the first child that may run until the last one has ended. */
  readonly status: WorkerStatus;
  /** Members by status; they add up to `size`. */
  readonly counts: Counts;
  readonly reason: string | null;
  readonly createdAt: Date;
};

/** A group of workers that has not ended, with its job and attempt. */
export type LivingGroup = WorkerGroup & { readonly job: string; readonly attempt: number };

/** One worker of a group. */
export type Member = {
  readonly id: string;
  readonly index: number;
  readonly status: WorkerStatus;
  /** The reason that Batch gives for its waiting or its end. */
  readonly reason: string | null;
  /** Of its last attempt; null before the first has ended, and when the host was taken away. */
  readonly exitCode: number | null;
  /** In the log group of the workers. */
  readonly logStream: string | null;
  /** How often it was started and ended. */
  readonly attempts: number;
};

export const hasEnded = ({ status }: { readonly status: WorkerStatus }): boolean =>
  status === "SUCCEEDED" || status === "FAILED";

/** Members that have not ended. */
export const living = ({ counts, size }: WorkerGroup): number => size - counts.SUCCEEDED - counts.FAILED;

/** Members of several groups by status. */
export type Counts = Readonly<Record<WorkerStatus, number>>;

export function countsIn(groups: readonly WorkerGroup[]): Counts {
  const sum = (status: WorkerStatus) => groups.reduce((total, { counts }) => total + counts[status], 0);
  return byStatus(sum);
}

const byStatus = (count: (status: WorkerStatus) => number): Counts => ({
  SUBMITTED: count("SUBMITTED"),
  PENDING: count("PENDING"),
  RUNNABLE: count("RUNNABLE"),
  STARTING: count("STARTING"),
  RUNNING: count("RUNNING"),
  SUCCEEDED: count("SUCCEEDED"),
  FAILED: count("FAILED"),
});

export function workerGroupOf(detail: JobDetail): WorkerGroup {
  const size = detail.arrayProperties?.size ?? 1;
  const status = workerStatusOf(detail);
  const summary = detail.arrayProperties ? detail.arrayProperties.statusSummary : { [status]: 1 };
  return {
    id: required(detail.jobId, "jobId of a Batch job"),
    name: required(detail.jobName, "jobName of a Batch job"),
    size,
    status,
    counts: countsOf(summary ?? {}, size),
    reason: reasonOf(detail),
    createdAt: new Date(required(detail.createdAt, "createdAt of a Batch job")),
  };
}

/** Children that the summary does not have yet will be created soon. */
function countsOf(summary: Readonly<Record<string, number>>, size: number): Counts {
  const counts = byStatus((status) => summary[status] ?? 0);
  const counted = workerStatuses.reduce((sum, status) => sum + counts[status], 0);
  return { ...counts, SUBMITTED: counts.SUBMITTED + Math.max(0, size - counted) };
}

export function memberOf(detail: JobDetail): Member {
  const { attempts = [], container } = detail;
  const last = attempts.at(-1)?.container;
  return {
    id: required(detail.jobId, "jobId of a Batch job"),
    index: detail.arrayProperties?.index ?? 0,
    status: workerStatusOf(detail),
    reason: reasonOf(detail),
    exitCode: container?.exitCode ?? last?.exitCode ?? null,
    logStream: container?.logStreamName ?? last?.logStreamName ?? null,
    attempts: attempts.length,
  };
}

export function workerStatusOf({ jobId, status }: JobDetail | JobSummary): WorkerStatus {
  const found = workerStatuses.find((name) => name === status);
  if (found === undefined)
    throw new Unrecoverable(
      `AWS Batch job ${jobId} has the status ${status}, which this version does not know`,
    );
  return found;
}

/** The scheduler's reason, with that of the container in brackets, such as that it was killed for its memory. */
function reasonOf({ statusReason, container }: JobDetail): string | null {
  const { reason } = container ?? {};
  if (!statusReason) return reason || null;
  return reason ? `${statusReason} (${reason})` : statusReason;
}
