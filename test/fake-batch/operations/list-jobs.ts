import type { JobSummary, KeyValuesPair, ListJobsRequest, ListJobsResponse } from "@aws-sdk/client-batch";
import { required } from "../../../protocol/required.ts";
import { BatchError, beyondTheFake } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";
import { arnOf, type Job } from "../job.ts";
import { findQueue } from "./job-queues.ts";

const PAGE = 1000;
const PAGE_OF_FILTERED = 100;

/** Without a filter only one status is listed, RUNNING unless another is named. */
export function listJobs(batch: FakeBatch, request: ListJobsRequest): ListJobsResponse {
  const { jobQueue, arrayJobId, filters = [], jobStatus = "RUNNING" } = request;
  if (request.multiNodeJobId !== undefined) throw beyondTheFake("multi-node jobs");
  if ((jobQueue === undefined) === (arrayJobId === undefined))
    throw new BatchError("exactly one of jobQueue and arrayJobId must be given");
  const isWanted = filterOf(filters) ?? ((job: Job) => job.status === jobStatus);
  const found = among(batch, jobQueue, arrayJobId).filter(isWanted);
  if (filters.length > 0) found.reverse();
  return page(found.map(summaryOf), request, filters.length > 0 ? PAGE_OF_FILTERED : PAGE);
}

/** In order of submission; children are listed under their array alone. */
function among(batch: FakeBatch, jobQueue: string | undefined, arrayJobId: string | undefined): Job[] {
  if (arrayJobId !== undefined) {
    const array = batch.jobs.get(arrayJobId);
    if (!array || array.size === null) throw new BatchError(`${arrayJobId} is no array job`);
    return [...array.children];
  }
  const queue = findQueue(batch, required(jobQueue, "jobQueue"));
  return [...batch.jobs.values()].filter((job) => job.queue === queue && job.parent === null);
}

function filterOf(filters: readonly KeyValuesPair[]): ((job: Job) => boolean) | undefined {
  const [filter, ...more] = filters;
  if (!filter) return undefined;
  if (more.length > 0) throw new BatchError(`filters takes one filter, got ${filters.length}`);
  if (filter.name !== "JOB_NAME") throw beyondTheFake(`filter ${filter.name}`);
  const patterns = required(filter.values, "filter.values").map((value) => value.toLowerCase());
  return ({ name }) =>
    patterns.some((pattern) =>
      pattern.endsWith("*")
        ? name.toLowerCase().startsWith(pattern.slice(0, -1))
        : name.toLowerCase() === pattern,
    );
}

function page(jobs: readonly JobSummary[], { maxResults, nextToken }: ListJobsRequest, limit: number) {
  const start = nextToken === undefined ? 0 : Number(Buffer.from(nextToken, "base64").toString());
  const end = start + Math.min(maxResults ?? limit, limit);
  return {
    jobSummaryList: jobs.slice(start, end),
    nextToken: end < jobs.length ? Buffer.from(String(end)).toString("base64") : undefined,
  };
}

function summaryOf(job: Job): JobSummary {
  return {
    jobArn: arnOf("job", job.id),
    jobId: job.id,
    jobName: job.name,
    jobDefinition: job.definition.arn,
    status: job.status,
    statusReason: job.statusReason,
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    stoppedAt: job.stoppedAt,
    arrayProperties:
      job.index !== null ? { index: job.index } : job.size !== null ? { size: job.size } : undefined,
  };
}
