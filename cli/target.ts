import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { type Cloud, type CloudEnvironment, clientConfig, connect } from "../cloud/connect.ts";
import { ensureEmulator, type Hold, HoldTakenError, hold, holds } from "../local/emulator/client.ts";
import { InvalidInput } from "../protocol/errors.ts";
import { program } from "./paths.ts";

export type TargetEnvironment = CloudEnvironment & { readonly PS_DEAD_LETTERS_URL: string };

const BUCKET = "ps-local";
const REVIVE_TRIES = 10;
const REVIVE_PAUSE_MS = 300;

/** Where jobs run: here, the emulator of a data folder. */
export type Target = {
  readonly dataDir: string;
  readonly cloud: Cloud;
  /** What a process needs in its environment to work on this target. */
  readonly environment: TargetEnvironment;
  /** Marks this process as the runner of a job; null while another process is. */
  claim(job: string): Promise<Hold | null>;
  /** The jobs that some process is running. */
  running(): Promise<ReadonlySet<string>>;
  /** Starts the emulator again, and keeps it running, after it was lost. */
  revive(): Promise<void>;
  close(): void;
};

/** Opens the embedded target, starting its emulator and making its bucket and queues where need be. */
export async function openTarget(dataDir: string): Promise<Target> {
  const { endpoint } = await ensureEmulator(dataDir, program("emulator"));
  let kept = await hold(endpoint);
  const environment = await createResources(endpoint);
  const cloud = connect(environment);
  return {
    dataDir,
    cloud,
    environment,
    claim: (job) => claim(endpoint, job),
    running: async () => new Set(await holds(endpoint)),
    async revive() {
      kept.release();
      kept = await holdAgain(dataDir);
    },
    close() {
      kept.release();
      cloud.close();
    },
  };
}

/**
 * Opens a target on which jobs were submitted before; unlike `openTarget` it makes no new folder.
 *
 * @throws InvalidInput when there is none
 */
export async function openExisting(dataDir: string): Promise<Target> {
  if (existsSync(join(dataDir, "emulator.json"))) return openTarget(dataDir);
  throw new InvalidInput(
    `there are no jobs in ${dataDir}; go to the folder they were submitted from, or set PS_DATA_DIR`,
  );
}

/** The emulator may be on its way out while it still answers, so one try is not enough. */
async function holdAgain(dataDir: string): Promise<Hold> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await hold((await ensureEmulator(dataDir, program("emulator"))).endpoint);
    } catch (error) {
      if (attempt === REVIVE_TRIES) throw error;
      await sleep(REVIVE_PAUSE_MS);
    }
  }
}

async function claim(endpoint: string, job: string): Promise<Hold | null> {
  try {
    return await hold(endpoint, job);
  } catch (error) {
    if (error instanceof HoldTakenError) return null;
    throw error;
  }
}

async function createResources(endpoint: string): Promise<TargetEnvironment> {
  const access = {
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
  };
  const s3 = new S3Client({ ...clientConfig(access), forcePathStyle: true });
  const sqs = new SQSClient(clientConfig(access));
  try {
    const [, queues] = await Promise.all([createBucket(s3), createUpdateQueues(sqs)]);
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

async function createBucket(s3: S3Client): Promise<void> {
  try {
    await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (name !== "BucketAlreadyOwnedByYou" && name !== "BucketAlreadyExists") throw error;
  }
}

async function createUpdateQueues(sqs: SQSClient): Promise<{ updates: string; dead: string }> {
  const fifo = { FifoQueue: "true" };
  const dead = await createQueue(sqs, "ps-updates-dead.fifo", fifo);
  const about = new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ["QueueArn"] });
  const deadLetterTargetArn = (await sqs.send(about)).Attributes?.QueueArn;
  const updates = await createQueue(sqs, "ps-updates.fifo", {
    ...fifo,
    DeduplicationScope: "messageGroup",
    FifoThroughputLimit: "perMessageGroupId",
    VisibilityTimeout: "10",
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 12 }),
  });
  return { updates, dead };
}

async function createQueue(sqs: SQSClient, QueueName: string, Attributes: Record<string, string>) {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
  return QueueUrl ?? "";
}
