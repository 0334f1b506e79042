import type {
  ArrayPropertiesDetail,
  ContainerDetail,
  DescribeJobsRequest,
  DescribeJobsResponse,
  JobDetail,
} from "@aws-sdk/client-batch";
import { BatchError } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";
import { arnOf, isOver, type Job } from "../job.ts";

const MAX_IDS = 100;
const STATUSES = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"];

/** Ids that name no job are left out without an error. */
export function describeJobs(
  batch: FakeBatch,
  { jobs: ids = [] }: DescribeJobsRequest,
): DescribeJobsResponse {
  if (ids.length > MAX_IDS) throw new BatchError(`jobs takes at most ${MAX_IDS} ids, got ${ids.length}`);
  return { jobs: ids.flatMap((id) => batch.jobs.get(id) ?? []).map(detailOf) };
}

function detailOf(job: Job): JobDetail {
  const isTerminated = job.stop?.kind === "terminated" || undefined;
  return {
    jobArn: arnOf("job", job.id),
    jobId: job.id,
    jobName: job.name,
    jobQueue: job.queue.arn,
    jobDefinition: job.definition.arn,
    status: job.status,
    statusReason: job.statusReason,
    createdAt: job.createdAt,
    // Required by the model; AWS Batch answers 0 for a job that was never started.
    startedAt: job.startedAt ?? 0,
    stoppedAt: job.stoppedAt,
    attempts: job.attempts,
    retryStrategy: job.definition.retryStrategy,
    container: containerOf(job),
    arrayProperties: arrayOf(job),
    isTerminated,
  };
}

function containerOf(job: Job): ContainerDetail {
  const last = isOver(job) ? job.attempts.at(-1)?.container : undefined;
  return {
    image: job.definition.image,
    exitCode: last?.exitCode,
    reason: last?.reason,
    logStreamName: job.container?.logStream ?? last?.logStreamName,
  };
}

function arrayOf({ size, index, children }: Job): ArrayPropertiesDetail | undefined {
  if (index !== null) return { index };
  if (size === null) return undefined;
  const count = (status: string) => children.filter((child) => child.status === status).length;
  return { size, statusSummary: Object.fromEntries(STATUSES.map((status) => [status, count(status)])) };
}
