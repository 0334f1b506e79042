import { Duration } from "aws-cdk-lib";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import type { Bucket } from "aws-cdk-lib/aws-s3";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import type { Permission } from "./grant.ts";
import { names } from "./names.ts";
import { anyKey, closeJobs, onTaskQueues, read, remove, write } from "./permissions.ts";
import { ServerFunction } from "./server-function.ts";

/**
 * The memory of the aggregator, coordinator and checkpointer, which are one function. A shard of 25 M parameters with
 * AdamW's two slots is 300 MB. An aggregator holds the present and the next version (600 MB), a piece of 100 MB for each
 * rank (8 ranks: 800 MB), and a cache of up to 512 MB of other shards: 1.9 GB, or 2.7 GB with 16 ranks. When a batch has
 * messages of several shards, each needs its own, so with 12 M parameters (half of all that) two fit. 3,008 MB is the
 * limit of a new account, and gives 1.7 processors.
 */
const UPDATES_MIB = 3008;
/**
 * A function moves about 75 MB/s. At a cold start it reads 300 MB for the shard above and 1.6 GB for 16 pieces, and
 * writes 300 MB: 30 s. A checkpoint reads and writes every byte: 120 s are enough for 4.5 GB, a model of 1.1 G parameters.
 */
export const UPDATES_TIMEOUT = Duration.seconds(120);

/** The other functions read and write records of some kilobytes. More memory gives more processor, and so a quicker start. */
const SMALL_MIB = 512;
export const DEAD_LETTERS_TIMEOUT = Duration.seconds(60);
const WATCHDOG_TIMEOUT = Duration.seconds(60);

/** The maximum for a FIFO queue. */
const BATCH = 10;

export type FunctionsProps = {
  readonly name: string;
  readonly bucket: Bucket;
  readonly updates: IQueue;
  readonly deadLetters: IQueue;
};

/** The parameter server: three functions, each with the permissions that its work needs. */
export class Functions extends Construct {
  readonly updates: ServerFunction;
  readonly deadLetters: ServerFunction;
  readonly watchdog: ServerFunction;

  constructor(scope: Construct, props: FunctionsProps) {
    super(scope, "Functions");
    const { name, bucket, updates, deadLetters } = props;
    const environment = {
      PS_BUCKET: bucket.bucketName,
      PS_UPDATES_URL: updates.queueUrl,
      PS_QUEUE_PREFIX: names.queuePrefix(name),
      PS_JOB_QUEUES: (["gpu", "cpu"] as const).map((device) => names.workersOn(name, device)).join(),
    };
    const logGroup = (of: string) => `${names.folder(name)}/${of}`;
    this.updates = new ServerFunction(this, "Updates", {
      bundle: "updates",
      description: `${name}: aggregator, coordinator and checkpointer`,
      memoryMiB: UPDATES_MIB,
      timeout: UPDATES_TIMEOUT,
      environment,
      logGroupName: logGroup("updates"),
      permissions: [...closeJobs(this, name, bucket), ...trainJobs(this, props)],
    });
    this.deadLetters = new ServerFunction(this, "DeadLetters", {
      bundle: "dead-letters",
      description: `${name}: ends the job of a message that could not be handled`,
      memoryMiB: SMALL_MIB,
      timeout: DEAD_LETTERS_TIMEOUT,
      environment,
      logGroupName: logGroup("dead-letters"),
      permissions: closeJobs(this, name, bucket),
    });
    this.watchdog = new ServerFunction(this, "Watchdog", {
      bundle: "watchdog",
      description: `${name}: watches every job that has not ended`,
      memoryMiB: SMALL_MIB,
      timeout: WATCHDOG_TIMEOUT,
      environment,
      logGroupName: logGroup("watchdog"),
      permissions: [...closeJobs(this, name, bucket), ...watchJobs(this, props)],
    });
    const source = { batchSize: BATCH, reportBatchItemFailures: true };
    this.updates.lambda.addEventSource(new SqsEventSource(updates, source));
    this.deadLetters.lambda.addEventSource(new SqsEventSource(deadLetters, source));
  }
}

/** Permissions of the actors: make versions, their records and checkpoints, dispatch tasks, wake each other. */
function trainJobs(scope: Construct, { name, bucket, updates }: FunctionsProps): readonly Permission[] {
  return [
    read(bucket, anyKey.gradient),
    write(bucket, anyKey.gradient, anyKey.version, anyKey.history, anyKey.checkpoint),
    remove(bucket, anyKey.version),
    onTaskQueues(scope, name, "sqs:SendMessage"),
    { actions: ["sqs:SendMessage"], resources: [updates.queueArn] },
  ];
}

/** Permissions of the watchdog: count a job's tasks, and wake its coordinator. */
function watchJobs(scope: Construct, { name, updates }: FunctionsProps): readonly Permission[] {
  return [
    onTaskQueues(scope, name, "sqs:GetQueueAttributes"),
    { actions: ["sqs:SendMessage"], resources: [updates.queueArn] },
  ];
}
