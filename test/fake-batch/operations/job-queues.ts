import type {
  CreateJobQueueRequest,
  CreateJobQueueResponse,
  DescribeComputeEnvironmentsRequest,
  DescribeComputeEnvironmentsResponse,
  DescribeJobQueuesRequest,
  DescribeJobQueuesResponse,
} from "@aws-sdk/client-batch";
import { required } from "../../../protocol/required.ts";
import { BatchError } from "../errors.ts";
import { COMPUTE_ENVIRONMENT, type FakeBatch } from "../fake-batch.ts";
import { arnOf, type Queue } from "../job.ts";

const COMPUTE_ARN = arnOf("compute-environment", COMPUTE_ENVIRONMENT);

/** Creates a queue of the one compute environment that there is. */
export function createJobQueue(batch: FakeBatch, request: CreateJobQueueRequest): CreateJobQueueResponse {
  const { jobQueueName, computeEnvironmentOrder } = request;
  const name = required(jobQueueName, "jobQueueName");
  if (batch.queues.has(name)) throw new BatchError(`Object already exists: job queue ${name}`);
  for (const { computeEnvironment } of required(computeEnvironmentOrder, "computeEnvironmentOrder"))
    if (computeEnvironment !== COMPUTE_ENVIRONMENT && computeEnvironment !== COMPUTE_ARN)
      throw new BatchError(`ComputeEnvironment ${computeEnvironment} not found`);
  const queue = { name, arn: arnOf("job-queue", name) };
  batch.queues.set(name, queue);
  return { jobQueueName: name, jobQueueArn: queue.arn };
}

export function describeJobQueues(
  batch: FakeBatch,
  { jobQueues }: DescribeJobQueuesRequest,
): DescribeJobQueuesResponse {
  const all = [...batch.queues.values()];
  const found = all.filter(
    ({ name, arn }) => !jobQueues || jobQueues.includes(name) || jobQueues.includes(arn),
  );
  return {
    jobQueues: found.map(({ name, arn }) => ({
      jobQueueName: name,
      jobQueueArn: arn,
      state: "ENABLED",
      status: "VALID",
      priority: 1,
      computeEnvironmentOrder: [{ order: 1, computeEnvironment: COMPUTE_ARN }],
    })),
  };
}

export function describeComputeEnvironments(
  { options }: FakeBatch,
  { computeEnvironments: wanted }: DescribeComputeEnvironmentsRequest,
): DescribeComputeEnvironmentsResponse {
  const isWanted = !wanted || wanted.includes(COMPUTE_ENVIRONMENT) || wanted.includes(COMPUTE_ARN);
  const one = {
    computeEnvironmentName: COMPUTE_ENVIRONMENT,
    computeEnvironmentArn: COMPUTE_ARN,
    type: "MANAGED" as const,
    state: "ENABLED" as const,
    status: "VALID" as const,
    computeResources: { type: "SPOT" as const, minvCpus: 0, maxvCpus: options.vcpus, subnets: [] },
  };
  return { computeEnvironments: isWanted ? [one] : [] };
}

/** @throws BatchError when there is no such queue */
export function findQueue(batch: FakeBatch, wanted: string): Queue {
  const queue = batch.queues.get(wanted.replace(/^arn:.*:job-queue\//, ""));
  if (!queue) throw new BatchError(`JobQueue ${wanted} not found`);
  return queue;
}
