import type { TerminateJobRequest } from "@aws-sdk/client-batch";
import { required } from "../../../protocol/required.ts";
import { BatchError } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";

const MAX_REASON_LENGTH = 1024;

export function terminateJob(batch: FakeBatch, request: TerminateJobRequest): object {
  const jobId = required(request.jobId, "jobId");
  const reason = required(request.reason, "reason");
  if (reason.length > MAX_REASON_LENGTH)
    throw new BatchError(`reason must be at most ${MAX_REASON_LENGTH} characters, got ${reason.length}`);
  const job = batch.jobs.get(jobId);
  if (!job) throw new BatchError(`Job ${jobId} does not exist`);
  batch.terminate(job, reason);
  return {};
}
