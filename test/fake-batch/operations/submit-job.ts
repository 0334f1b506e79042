import type { SubmitJobRequest, SubmitJobResponse } from "@aws-sdk/client-batch";
import { required } from "../../../protocol/required.ts";
import { BatchError, beyondTheFake } from "../errors.ts";
import type { FakeBatch } from "../fake-batch.ts";
import { arnOf, newJob } from "../job.ts";
import { checkRetryStrategy } from "../retry.ts";
import { checkTimeout, environmentFrom, findDefinition } from "./job-definitions.ts";
import { findQueue } from "./job-queues.ts";

const SUPPORTED = [
  "jobName",
  "jobQueue",
  "jobDefinition",
  "arrayProperties",
  "containerOverrides",
  "retryStrategy",
  "timeout",
  "tags",
  "propagateTags",
];
const MAX_CHILDREN = 10_000;

export function submitJob(batch: FakeBatch, request: SubmitJobRequest): SubmitJobResponse {
  for (const name of Object.keys(request))
    if (!SUPPORTED.includes(name)) throw beyondTheFake(`${name} of a job`);
  const { arrayProperties, containerOverrides = {}, retryStrategy, timeout } = request;
  const jobName = required(request.jobName, "jobName");
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/.test(jobName))
    throw new BatchError(
      `jobName must be 1 to 128 letters, digits, - and _, and begin with a letter or digit, got ${jobName}`,
    );
  const size = arrayProperties?.size ?? null;
  if (size !== null && !(size >= 2 && size <= MAX_CHILDREN))
    throw new BatchError(`arrayProperties.size must be from 2 to 10,000, got ${size}`);
  const { environment = [], ...others } = containerOverrides;
  for (const name of Object.keys(others)) throw beyondTheFake(`containerOverrides.${name}`);
  checkRetryStrategy(retryStrategy ?? {});
  checkTimeout(timeout);
  const definition = findDefinition(batch, required(request.jobDefinition, "jobDefinition"));
  const job = newJob({
    name: jobName,
    queue: findQueue(batch, required(request.jobQueue, "jobQueue")),
    definition: {
      ...definition,
      ...(retryStrategy && { retryStrategy }),
      ...(timeout && { timeoutSeconds: timeout.attemptDurationSeconds ?? null }),
    },
    environment: environmentFrom(environment),
    size,
  });
  batch.add(job);
  return { jobName, jobId: job.id, jobArn: arnOf("job", job.id) };
}
