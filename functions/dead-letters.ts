import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import type { Cloud } from "../cloud/connect.ts";
import { actorOf } from "../protocol/messages.ts";
import { failJob } from "./coordinator/close.ts";

/**
 * The Lambda behind the dead-letter queue: a message that killed or outlasted its actor too often ends its job.
 * The job is known by the message's group, since the message itself may be what is broken.
 */
export function deadLettersHandler(cloud: Cloud): (event: SQSEvent) => Promise<SQSBatchResponse> {
  return async ({ Records }) => {
    for (const { messageId, attributes } of Records) {
      const { job, name } = actorOf(attributes.MessageGroupId ?? "");
      await failJob(cloud, job, `${name} could not handle a message; see its logs for message ${messageId}`);
    }
    return { batchItemFailures: [] };
  };
}
