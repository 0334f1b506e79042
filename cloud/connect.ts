import { BatchClient } from "@aws-sdk/client-batch";
import { S3Client } from "@aws-sdk/client-s3";
import { SQSClient } from "@aws-sdk/client-sqs";
import { type Environment, variable } from "../protocol/environment.ts";
import { Batch } from "./batch.ts";
import { retryDamaged } from "./damage.ts";
import { Jobs } from "./jobs.ts";
import { Queues } from "./queues.ts";
import { sdkDefaults } from "./sdk-settings.ts";
import { noteServerTime } from "./server-time.ts";
import { Store } from "./store.ts";

/** S3, SQS and Batch as every part of the system sees them, embedded or on AWS. */
export type Cloud = {
  readonly store: Store;
  readonly queues: Queues;
  readonly jobs: Jobs;
  /** Submits and ends workers; null where there is no Batch, as on a laptop. */
  readonly batch: Batch | null;
  /** URL of the `updates` queue. */
  readonly updates: string;
  close(): void;
};

/** The environment variables that say where a cloud is; the submitter gives them to every process it starts. */
export type CloudEnvironment = {
  readonly PS_BUCKET: string;
  readonly PS_UPDATES_URL: string;
  /** Starts the names of the jobs' task queues; keeps two stacks in one account apart. */
  readonly PS_QUEUE_PREFIX: string;
  /** Names of the Batch job queues of the workers, with commas between; absent where there is no Batch. */
  readonly PS_JOB_QUEUES?: string;
  readonly AWS_REGION?: string;
  readonly AWS_ENDPOINT_URL?: string;
  readonly AWS_ENDPOINT_URL_BATCH?: string;
  readonly AWS_ACCESS_KEY_ID?: string;
  readonly AWS_SECRET_ACCESS_KEY?: string;
};

/**
 * Opens clients for the cloud that `env` describes. With `AWS_ENDPOINT_URL` that is an emulator; region and credentials
 * are found as the AWS SDK always finds them.
 *
 * @throws InvalidInput naming a missing variable
 */
export function connect(env: Environment): Cloud {
  const config = clientConfig(env);
  const s3 = createS3(config, env.AWS_ENDPOINT_URL !== undefined);
  const sqs = createSqs(config);
  const store = new Store(s3, variable(env, "PS_BUCKET"));
  const prefix = variable(env, "PS_QUEUE_PREFIX");
  const jobQueues = (env.PS_JOB_QUEUES ?? "").split(",").filter(Boolean);
  const batch = jobQueues.length === 0 ? null : createBatch(config, env.AWS_ENDPOINT_URL_BATCH);
  return {
    store,
    queues: new Queues(sqs, prefix),
    jobs: new Jobs(store),
    batch: batch && new Batch(batch, jobQueues, prefix),
    updates: variable(env, "PS_UPDATES_URL"),
    close() {
      s3.destroy();
      sqs.destroy();
      batch?.destroy();
    },
  };
}

const createBatch = (config: ReturnType<typeof clientConfig>, endpoint: string | undefined): BatchClient =>
  new BatchClient({ ...config, ...(endpoint !== undefined && { endpoint }) });

/** Creates an SQS client that tries again when a request or an answer was damaged on its way. */
export function createSqs(config: ReturnType<typeof clientConfig>): SQSClient {
  const sqs = new SQSClient(config);
  retryDamaged(sqs.middlewareStack);
  return sqs;
}

/**
 * Creates an S3 client that reads each byte it moves as few times as possible: uploads carry a CRC32, so their SHA-256
 * need not be signed as well; downloads are checked against our own digests.
 */
function createS3(config: ReturnType<typeof clientConfig>, forcePathStyle: boolean): S3Client {
  const s3 = new S3Client({
    ...config,
    forcePathStyle,
    expectContinueHeader: false,
    responseChecksumValidation: "WHEN_REQUIRED",
  });
  s3.middlewareStack.add(
    (next) => (args) => {
      const { request } = args as { request?: { method?: string; headers?: Record<string, string> } };
      if (request?.method === "PUT" && request.headers) {
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      }
      return next(args);
    },
    { step: "build", name: "unsignedPayload" },
  );
  noteServerTime(s3);
  retryDamaged(s3.middlewareStack);
  return s3;
}

/**
 * Returns what all clients have in common. An environment that names region, endpoint and keys says all there is to
 * say of an emulator: its clients read neither this process's environment nor the user's AWS files.
 */
export function clientConfig(env: Environment) {
  const { AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env;
  const keyed = AWS_ACCESS_KEY_ID !== undefined && AWS_SECRET_ACCESS_KEY !== undefined;
  const isComplete = keyed && AWS_REGION !== undefined && AWS_ENDPOINT_URL !== undefined;
  return {
    ...(isComplete && sdkDefaults),
    ...(env.AWS_PROFILE && !keyed && { profile: env.AWS_PROFILE, logger: silent }),
    ...(AWS_REGION !== undefined && { region: AWS_REGION }),
    ...(AWS_ENDPOINT_URL !== undefined && { endpoint: AWS_ENDPOINT_URL }),
    ...(keyed && {
      credentials: {
        accessKeyId: AWS_ACCESS_KEY_ID,
        secretAccessKey: AWS_SECRET_ACCESS_KEY,
        ...(AWS_SESSION_TOKEN !== undefined && { sessionToken: AWS_SESSION_TOKEN }),
      },
    }),
    // A long poll is silent for 20 s; a connection that is silent for longer is broken.
    requestHandler: { connectionTimeout: 5_000, socketTimeout: 60_000 },
  };
}

/** The SDK warns of keys in this process's environment beside a profile; the profile is meant to win. */
const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
