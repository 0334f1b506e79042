import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { failJob } from "../cloud/close.ts";
import type { Cloud } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { actorOf } from "../protocol/messages.ts";

/**
 * The Lambda behind the dead-letter queue: a message that killed or outlasted its actor too often ends its job.
 * A job that can't be ended does not keep the others from it: all of the batch comes back, and to end a job twice
 * changes nothing.
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
        log.error("job not ended", { group: record.attributes.MessageGroupId, error });
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} jobs could not be ended`);
    return { batchItemFailures: [] };
  };
}

/** The job is known by the message's group, since the message itself may be what is broken. */
async function endJobOf(cloud: Cloud, { messageId, attributes }: SQSRecord): Promise<void> {
  const { job, name } = actorOf(attributes.MessageGroupId ?? "");
  await failJob(cloud, job, `${name} could not handle a message; see its logs for message ${messageId}`);
}
