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

/** For people who submit, watch, cancel and clean up jobs and do nothing else: attach it to their user or role. */
export function createSubmitterPolicy(scope: Construct, props: SubmitterProps): ManagedPolicy {
  const policy = new ManagedPolicy(scope, "SubmitterPolicy", {
    description: `all that ps-submit --stack ${props.name} needs`,
  });
  grant(policy, [
    ...closeJobs(scope, props.name, props.bucket),
    ...submitJobs(scope, props),
    ...cleanUp(props.bucket),
    ...runWorkers(scope, props.name),
    ...lookAround(scope, props.name),
  ]);
  new CfnOutput(scope, "SubmitterPolicyArn", { value: policy.managedPolicyArn });
  return policy;
}

/** Uploads, which can be taken up again; a job's records; its task queue; and the word to its coordinator. */
function submitJobs(scope: Construct, { name, bucket, updates }: SubmitterProps): readonly Permission[] {
  const { dataset, pretrained, module, record, active } = anyKey;
  return [
    read(bucket, dataset, pretrained, module),
    write(bucket, dataset, pretrained, module, record, active),
    {
      actions: ["s3:ListMultipartUploadParts"],
      resources: [dataset, pretrained].map((key) => bucket.arnForObjects(key)),
      why: "uploads are stored by their content",
    },
    { actions: ["s3:ListBucketMultipartUploads"], resources: [bucket.bucketArn], why: "" },
    onTaskQueues(scope, name, "sqs:CreateQueue", "sqs:GetQueueAttributes"),
    { actions: ["sqs:SendMessage", "sqs:GetQueueAttributes"], resources: [updates.queueArn], why: "" },
  ];
}

/** Finding what crashes left, and removing it, beyond what closing a job takes. */
const cleanUp = (bucket: Bucket): readonly Permission[] => [
  {
    actions: ["sqs:ListQueues"],
    resources: ["*"],
    why: "SQS has no permissions by resource for listing queues; it tells their names and nothing more",
  },
  remove(bucket, anyKey.record),
  {
    actions: ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
    resources: [anyKey.checkpoint, anyKey.frozen].map((key) => bucket.arnForObjects(key)),
    why: "what jobs write in parts",
  },
];

function runWorkers(scope: Construct, name: string): readonly Permission[] {
  const arn = (resource: string, resourceName: string) =>
    Stack.of(scope).formatArn({ service: "batch", resource, resourceName });
  const on = [names.workersOn(name, "gpu"), names.workersOn(name, "cpu")];
  return [
    {
      actions: ["batch:SubmitJob"],
      resources: on.flatMap((each) => [arn("job-queue", each), arn("job-definition", `${each}:*`)]),
      why: "every deployment makes a new revision of a job definition",
    },
    {
      actions: ["batch:DescribeJobQueues", "batch:DescribeComputeEnvironments"],
      resources: ["*"],
      why: "AWS Batch has no permissions by resource for what only lists and describes",
    },
  ];
}

/** Finding the stack, reading its logs, and asking for the quotas of GPUs. */
function lookAround(scope: Construct, name: string): readonly Permission[] {
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
      why: "a name that is wrong is answered with those that there are",
    },
    {
      actions: ["logs:FilterLogEvents", "logs:GetLogEvents"],
      resources: [arn("logs", "log-group", `${names.folder(name)}/*`, colon)],
      why: "the log groups of the functions and the workers, and the streams in them",
    },
    {
      actions: ["servicequotas:GetServiceQuota"],
      resources: ["*"],
      why: "a quota is known by its code, and only read",
    },
  ];
}
