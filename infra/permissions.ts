import { ArnFormat, Stack } from "aws-cdk-lib";
import type { IConstruct } from "constructs";
import { keys } from "../protocol/keys.ts";
import type { Permission } from "./grant.ts";
import { names } from "./names.ts";

const ANY = "*";

/** Patterns for the keys of all jobs. */
export const anyKey = {
  ofJobs: `${keys.jobs}${ANY}`,
  record: keys.job(ANY),
  state: keys.state(ANY),
  layout: keys.layout(ANY),
  frozen: keys.frozen(ANY),
  modelFile: `${keys.modelFiles(ANY)}${ANY}`,
  version: `${keys.versions(ANY)}${ANY}`,
  firstVersion: `${keys.version(ANY, 0)}${ANY}`,
  evaluation: `${keys.evaluations(ANY)}${ANY}`,
  history: `${keys.histories(ANY)}${ANY}`,
  checkpoint: `${keys.checkpoints(ANY)}${ANY}`,
  gradient: `${keys.allGradients}${ANY}`,
  active: `${keys.actives}${ANY}`,
  dataset: keys.dataset(ANY, ANY),
  pretrained: keys.pretrained(ANY, ANY),
  module: keys.module(ANY),
} as const;

/** The bucket, made here or by another stack. */
type Bucket = { readonly bucketArn: string; arnForObjects(key: string): string };

const OBJECTS = "the objects of all jobs begin with this prefix";

/** Allows reading objects. Needs `list` too: without it S3 answers 403 instead of 404 for an object that is not there. */
export const read = (bucket: Bucket, ...keys: readonly string[]): Permission => ({
  actions: ["s3:GetObject"],
  resources: keys.map((key) => bucket.arnForObjects(key)),
  why: OBJECTS,
});

/** Allows writing objects, whole or in parts. */
export const write = (bucket: Bucket, ...keys: readonly string[]): Permission => ({
  actions: ["s3:PutObject", "s3:AbortMultipartUpload"],
  resources: keys.map((key) => bucket.arnForObjects(key)),
  why: OBJECTS,
});

export const remove = (bucket: Bucket, ...keys: readonly string[]): Permission => ({
  actions: ["s3:DeleteObject"],
  resources: keys.map((key) => bucket.arnForObjects(key)),
  why: OBJECTS,
});

export const list = (bucket: Bucket): Permission => ({
  actions: ["s3:ListBucket"],
  resources: [bucket.bucketArn],
});

/** Allows some actions on the task queues of a stack's jobs. */
export const onTaskQueues = (scope: IConstruct, name: string, ...actions: readonly string[]): Permission => ({
  actions,
  resources: [queueArn(scope, `${names.queuePrefix(name)}*-tasks-*`)],
  why: "every attempt of every job has a task queue of its own",
});

export const queueArn = (scope: IConstruct, resource: string): string =>
  Stack.of(scope).formatArn({ service: "sqs", resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });

/** Allows finding a job's workers, and ending them. */
const endWorkers = (scope: IConstruct): readonly Permission[] => [
  {
    actions: ["batch:ListJobs", "batch:DescribeJobs"],
    resources: ["*"],
    why: "AWS Batch has no permissions by resource for listing and describing",
  },
  {
    actions: ["batch:TerminateJob"],
    resources: [Stack.of(scope).formatArn({ service: "batch", resource: "job", resourceName: "*" })],
    why: "workers are jobs of AWS Batch, which chooses their ids",
  },
];

/** Allows ending a job with a reason, and closing its attempt. */
export const closeJobs = (scope: IConstruct, name: string, bucket: Bucket): readonly Permission[] => [
  list(bucket),
  read(bucket, anyKey.ofJobs),
  write(bucket, anyKey.state),
  remove(bucket, anyKey.gradient, anyKey.active),
  onTaskQueues(scope, name, "sqs:GetQueueUrl", "sqs:DeleteQueue"),
  ...endWorkers(scope),
];
