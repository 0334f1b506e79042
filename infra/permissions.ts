import { ArnFormat, Stack } from "aws-cdk-lib";
import type { IConstruct } from "constructs";
import { keys } from "../protocol/keys.ts";
import type { Permission } from "./grant.ts";
import { names } from "./names.ts";

const ANY = "*";

/** Keys of all jobs, as patterns. */
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

const OBJECTS = "the objects of all jobs lie below this prefix";

/** Reading objects. `list` belongs to it: without it S3 answers 403 instead of 404 for an object that is not there. */
export const read = (bucket: Bucket, ...keys: readonly string[]): Permission => ({
  actions: ["s3:GetObject"],
  resources: keys.map((key) => bucket.arnForObjects(key)),
  why: OBJECTS,
});

/** Writing objects, whole or in parts. */
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
  why: "",
});

/** Some of what can be done with the task queues of a stack's jobs. */
export const onTaskQueues = (scope: IConstruct, name: string, ...actions: readonly string[]): Permission => ({
  actions,
  resources: [queueArn(scope, `${names.queuePrefix(name)}*-tasks-*`)],
  why: "every attempt of every job has a task queue of its own",
});

export const queueArn = (scope: IConstruct, resource: string): string =>
  Stack.of(scope).formatArn({ service: "sqs", resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });

/** Looking for a job's workers, and ending them. */
const endWorkers = (scope: IConstruct): readonly Permission[] => [
  {
    actions: ["batch:ListJobs", "batch:DescribeJobs"],
    resources: ["*"],
    why: "AWS Batch has no permissions by resource for what only lists and describes",
  },
  {
    actions: ["batch:TerminateJob"],
    resources: [Stack.of(scope).formatArn({ service: "batch", resource: "job", resourceName: "*" })],
    why: "AWS Batch makes up the ids of the jobs that workers are",
  },
];

/** Ending a job with a reason, and putting away what it leaves. */
export const closeJobs = (scope: IConstruct, name: string, bucket: Bucket): readonly Permission[] => [
  list(bucket),
  read(bucket, anyKey.ofJobs),
  write(bucket, anyKey.state),
  remove(bucket, anyKey.gradient, anyKey.active),
  onTaskQueues(scope, name, "sqs:GetQueueUrl", "sqs:DeleteQueue"),
  ...endWorkers(scope),
];
