import { Duration } from "aws-cdk-lib";
import { DeduplicationScope, FifoThroughputLimit, Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { MAX_RECEIVES } from "../protocol/messages.ts";

/**
 * The FIFO queue of the actors and its dead-letter queue. In high-throughput mode each group has its own order and
 * deduplication, so shards do not wait for each other.
 */
export class UpdateQueues extends Construct {
  readonly updates: Queue;
  readonly deadLetters: Queue;

  /** @param timeouts of the functions behind the queues */
  constructor(scope: Construct, timeouts: { readonly updates: Duration; readonly deadLetters: Duration }) {
    super(scope, "UpdateQueues");
    const common = {
      fifo: true,
      deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
      fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    };
    this.deadLetters = new Queue(this, "DeadLetters", {
      ...common,
      visibilityTimeout: twice(timeouts.deadLetters),
      retentionPeriod: Duration.days(14),
    });
    this.updates = new Queue(this, "Updates", {
      ...common,
      visibilityTimeout: twice(timeouts.updates),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVES },
    });
  }
}

/** Kept short, since an actor that dies blocks its group for the visibility timeout; a second delivery does no harm. */
const twice = (timeout: Duration): Duration => Duration.seconds(2 * timeout.toSeconds());
