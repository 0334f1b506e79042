import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig } from "../../cloud/connect.ts";
import { MAX_RECEIVES } from "../../protocol/messages.ts";
import { required } from "../../protocol/required.ts";
import type { LocalEnvironment } from "./target.ts";

const BUCKET = "ps-local";
/** The region whose buckets have no location constraint. */
const DEFAULT_REGION = "us-east-1";

/** The environment variables by which S3 and SQS of a target are reached. */
export type Access = {
  readonly AWS_REGION: string;
  readonly AWS_ENDPOINT_URL: string;
  readonly AWS_ACCESS_KEY_ID: string;
  readonly AWS_SECRET_ACCESS_KEY: string;
  readonly AWS_SESSION_TOKEN?: string;
};

/** Makes the bucket and the queues that jobs run by this machine share, where they are not there yet. */
export async function createResources(access: Access): Promise<LocalEnvironment> {
  const s3 = new S3Client({ ...clientConfig(access), forcePathStyle: true });
  const sqs = new SQSClient(clientConfig(access));
  try {
    const [, queues] = await Promise.all([createBucket(s3, access.AWS_REGION), createUpdateQueues(sqs)]);
    return {
      ...access,
      PS_BUCKET: BUCKET,
      PS_QUEUE_PREFIX: "ps-",
      PS_UPDATES_URL: queues.updates,
      PS_DEAD_LETTERS_URL: queues.dead,
    };
  } finally {
    s3.destroy();
    sqs.destroy();
  }
}

async function createBucket(s3: S3Client, region: string): Promise<void> {
  const location =
    region === DEFAULT_REGION
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: region as "eu-west-1" } };
  try {
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET, ...location }));
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (name !== "BucketAlreadyOwnedByYou" && name !== "BucketAlreadyExists") throw error;
  }
}

async function createUpdateQueues(sqs: SQSClient): Promise<{ updates: string; dead: string }> {
  const fifo = { FifoQueue: "true" };
  const dead = await createQueue(sqs, "ps-updates-dead.fifo", fifo);
  const about = new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ["QueueArn"] });
  const { Attributes } = await sqs.send(about);
  const deadLetterTargetArn = required(Attributes?.QueueArn, "the ARN of queue ps-updates-dead.fifo");
  const updates = await createQueue(sqs, "ps-updates.fifo", {
    ...fifo,
    DeduplicationScope: "messageGroup",
    FifoThroughputLimit: "perMessageGroupId",
    VisibilityTimeout: "10",
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: MAX_RECEIVES }),
  });
  return { updates, dead };
}

async function createQueue(sqs: SQSClient, QueueName: string, Attributes: Record<string, string>) {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
  return required(QueueUrl, `the URL of queue ${QueueName}`);
}
