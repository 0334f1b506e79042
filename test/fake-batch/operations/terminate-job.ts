import type { TerminateJobRequest } from "@aws-sdk/client-batch";
import { BatchError } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";

const LONGEST_REASON = 1024;

export function terminateJob(batch: FakeBatch, { jobId = "", reason = "" }: TerminateJobRequest): object {
  if (reason.length > LONGEST_REASON)
    throw new BatchError(`reason must be at most ${LONGEST_REASON} characters, got ${reason.length}`);
  const job = batch.jobs.get(jobId);
  if (!job) throw new BatchError(`Job ${jobId} does not exist`);
  batch.terminate(job, reason);
  return {};
}
