import { randomUUID } from "node:crypto";
import type { AttemptDetail, JobStatus, RetryStrategy } from "@aws-sdk/client-batch";
import type { Container } from "./container.ts";

const ACCOUNT = "arn:aws:batch:us-east-1:000000000000";
export const arnOf = (kind: string, name: string): string => `${ACCOUNT}:${kind}/${name}`;

export type Queue = { readonly name: string; readonly arn: string };

export type Definition = {
  readonly name: string;
  readonly revision: number;
  readonly arn: string;
  readonly image: string;
  readonly vcpus: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly retryStrategy: RetryStrategy;
  readonly timeoutSeconds: number | null;
};

/** The reason for which a running container is being stopped from outside. */
export type Stop =
  | { readonly kind: "terminated"; readonly reason: string }
  | { readonly kind: "timeout" }
  | { readonly kind: "reclaimed"; readonly instance: string };

/** A plain job, the parent of an array, or one of its children. */
export type Job = {
  readonly id: string;
  readonly name: string;
  readonly queue: Queue;
  readonly definition: Definition;
  /** The overrides of its submission. */
  readonly environment: Readonly<Record<string, string>>;
  readonly createdAt: number;
  /** Number of children; null unless this is the parent of an array. */
  readonly size: number | null;
  readonly parent: Job | null;
  readonly index: number | null;
  readonly children: Job[];
  readonly attempts: AttemptDetail[];
  status: JobStatus;
  statusReason: string | undefined;
  startedAt: number | undefined;
  stoppedAt: number | undefined;
  container: Container | null;
  timeout: NodeJS.Timeout | undefined;
  stop: Stop | null;
};

type Submission = Pick<Job, "name" | "queue" | "definition" | "environment" | "size">;

export const newJob = (
  submission: Submission,
  parent: Job | null = null,
  index: number | null = null,
): Job => ({
  ...submission,
  id: parent ? `${parent.id}:${index}` : randomUUID(),
  createdAt: Date.now(),
  parent,
  index,
  children: [],
  attempts: [],
  status: parent ? "PENDING" : "SUBMITTED",
  statusReason: undefined,
  startedAt: undefined,
  stoppedAt: undefined,
  container: null,
  timeout: undefined,
  stop: null,
});

export const isOver = ({ status }: Job): boolean => status === "SUCCEEDED" || status === "FAILED";
export const isOnHost = ({ status }: Job): boolean => status === "STARTING" || status === "RUNNING";

/** A container's environment: the image's and the role's, the definition's, the submission's, and Batch's own. */
export function environmentOf(
  job: Job,
  host: Readonly<Record<string, string>>,
  computeEnvironment: string,
): Record<string, string> {
  return {
    ...host,
    ...job.definition.environment,
    ...job.environment,
    AWS_BATCH_JOB_ID: job.id,
    AWS_BATCH_JOB_ATTEMPT: String(job.attempts.length + 1),
    AWS_BATCH_JQ_NAME: job.queue.name,
    AWS_BATCH_CE_NAME: computeEnvironment,
    ...(job.parent && {
      AWS_BATCH_JOB_ARRAY_INDEX: String(job.index),
      AWS_BATCH_JOB_ARRAY_SIZE: String(job.parent.size),
    }),
  };
}
