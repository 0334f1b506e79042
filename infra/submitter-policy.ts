import { ArnFormat, CfnOutput, Stack } from "aws-cdk-lib";
import { ManagedPolicy } from "aws-cdk-lib/aws-iam";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { grant, type Permission } from "./grant.ts";
import { names } from "./names.ts";
import { anyKey, closeJobs, onTaskQueues, read, remove, write } from "./permissions.ts";

export type SubmitterProps = {
  readonly name: string;
  readonly bucket: Bucket;
  readonly updates: IQueue;
};

/** Creates the policy for people who only submit, watch, cancel and clean up jobs: attach it to their user or role. */
export function createSubmitterPolicy(scope: Construct, props: SubmitterProps): ManagedPolicy {
  const policy = new ManagedPolicy(scope, "SubmitterPolicy", {
    // A change of this text would replace the policy, which users are attached to.
    description: `all that ps-submit --stack ${props.name} needs`,
  });
  grant(policy, [
    ...closeJobs(scope, props.name, props.bucket),
    ...submitJobs(scope, props),
    ...cleanUp(props.bucket),
    ...runWorkers(scope, props.name),
    ...readStack(scope, props.name),
  ]);
  new CfnOutput(scope, "SubmitterPolicyArn", { value: policy.managedPolicyArn });
  return policy;
}

/** Allows uploading, also in parts; writing a job's records; creating its task queue; and waking its coordinator. */
function submitJobs(scope: Construct, { name, bucket, updates }: SubmitterProps): readonly Permission[] {
  const { dataset, pretrained, module, record, active } = anyKey;
  return [
    read(bucket, dataset, pretrained, module),
    write(bucket, dataset, pretrained, module, record, active),
    {
      actions: ["s3:ListMultipartUploadParts"],
      resources: [dataset, pretrained].map((key) => bucket.arnForObjects(key)),
      why: "the key of an upload is the digest of its content",
    },
    { actions: ["s3:ListBucketMultipartUploads"], resources: [bucket.bucketArn] },
    onTaskQueues(scope, name, "sqs:CreateQueue", "sqs:GetQueueAttributes"),
    { actions: ["sqs:SendMessage", "sqs:GetQueueAttributes"], resources: [updates.queueArn] },
  ];
}

/** Allows finding and removing what crashes leave, beyond the permissions of `closeJobs`. */
const cleanUp = (bucket: Bucket): readonly Permission[] => [
  {
    actions: ["sqs:ListQueues"],
    resources: ["*"],
    why: "SQS has no permissions by resource for listing queues, which shows only their names",
  },
  remove(bucket, anyKey.record),
  {
    actions: ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
    resources: [anyKey.checkpoint, anyKey.frozen].map((key) => bucket.arnForObjects(key)),
    why: "checkpoints and frozen parameters of all jobs begin with these prefixes and are written in parts",
  },
];

function runWorkers(scope: Construct, name: string): readonly Permission[] {
  const arn = (resource: string, resourceName: string) =>
    Stack.of(scope).formatArn({ service: "batch", resource, resourceName });
  const pools = [names.workersOn(name, "gpu"), names.workersOn(name, "cpu")];
  return [
    {
      actions: ["batch:SubmitJob"],
      resources: pools.flatMap((each) => [arn("job-queue", each), arn("job-definition", `${each}:*`)]),
      why: "every deployment makes a new revision of a job definition",
    },
    {
      actions: ["batch:DescribeJobQueues", "batch:DescribeComputeEnvironments"],
      resources: ["*"],
      why: "AWS Batch has no permissions by resource for listing and describing",
    },
  ];
}

/** Allows finding the stack, reading its logs, and reading the quotas of GPUs. */
function readStack(scope: Construct, name: string): readonly Permission[] {
  const arn = (service: string, resource: string, resourceName: string, arnFormat: ArnFormat) =>
    Stack.of(scope).formatArn({ service, resource, resourceName, arnFormat });
  const { SLASH_RESOURCE_NAME: slash, COLON_RESOURCE_NAME: colon } = ArnFormat;
  return [
    {
      actions: ["ssm:GetParametersByPath"],
      resources: [
        Stack.of(scope).formatArn({
          service: "ssm",
          resource: "parameter/serverless-ps",
          arnFormat: ArnFormat.NO_RESOURCE_NAME,
        }),
        arn("ssm", "parameter", "serverless-ps/*", slash),
      ],
      why: "the error for a wrong name lists the stacks that exist",
    },
    {
      actions: ["logs:FilterLogEvents", "logs:GetLogEvents"],
      resources: [arn("logs", "log-group", `${names.folder(name)}/*`, colon)],
      why: "the functions and the workers have a log group each, with many streams",
    },
    {
      actions: ["servicequotas:GetServiceQuota"],
      resources: ["*"],
      why: "Service Quotas names a quota by its code, and this only reads it",
    },
  ];
}
