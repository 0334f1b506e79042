import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { failJob } from "../cloud/close.ts";
import type { Cloud } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { actorOf } from "../protocol/messages.ts";
import { required } from "../protocol/required.ts";

/**
 * The Lambda behind the dead-letter queue: a message that killed or outlasted its actor too often ends its job. If one
 * job can't be ended, the others still are, and the whole batch comes back; ending a job twice changes nothing.
 *
 * @throws AggregateError when some jobs could not be ended; the others were
 */
export function deadLettersHandler(cloud: Cloud): (event: SQSEvent) => Promise<SQSBatchResponse> {
  return async ({ Records }) => {
    const errors: unknown[] = [];
    for (const record of Records) {
      try {
        await endJobOf(cloud, record);
      } catch (error) {
        log.error("job not ended", {
          group: record.attributes.MessageGroupId,
          messageId: record.messageId,
          error,
        });
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} jobs could not be ended`);
    return { batchItemFailures: [] };
  };
}

/** The job is taken from the message's group, since the message itself may be broken. */
async function endJobOf(cloud: Cloud, { messageId, attributes }: SQSRecord): Promise<void> {
  const { job, name } = actorOf(required(attributes.MessageGroupId, "MessageGroupId"));
  await failJob(cloud, job, `${name} could not handle a message; see its logs for message ${messageId}`);
}
