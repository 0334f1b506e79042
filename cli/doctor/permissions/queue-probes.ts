import { setTimeout as sleep } from "node:timers/promises";
import * as sqs from "@aws-sdk/client-sqs";
import { groupOf, type Update } from "../../../protocol/messages.ts";
import type { Probe, Trial } from "./probe.ts";

/** AWS asks for a second before a new queue is used. */
const TRIES = 5;
const PAUSE_MS = 500;

/**
 * Probes that create, read and delete a task queue: for a queue that does not exist, AWS does not show whether the
 * caller has the permission. The message wakes the coordinator of a job that does not exist, which logs that and does
 * nothing.
 */
export function queueProbes({ stack, clients, job }: Trial): readonly Probe[] {
  const client = clients.sqs;
  const QueueName = taskQueueOf({ stack, job });
  let QueueUrl = stack.updates.replace(/[^/]+$/, QueueName);
  let isMade = false;
  const onTasks = (action: string, ask: () => Promise<unknown>): Probe => ({
    ...{ action, refusals: [], resources: [QueueName] },
    ask: () => (isMade ? onceThere(ask) : ask()),
  });
  const updates = stack.updates.replace(/^.*\//, "");
  const AttributeNames: sqs.QueueAttributeName[] = ["ApproximateNumberOfMessages"];
  return [
    onTasks("sqs:CreateQueue", async () => {
      const made = await client.send(new sqs.CreateQueueCommand({ QueueName }));
      QueueUrl = made.QueueUrl ?? QueueUrl;
      isMade = true;
    }),
    onTasks("sqs:GetQueueUrl", () => client.send(new sqs.GetQueueUrlCommand({ QueueName }))),
    onTasks("sqs:GetQueueAttributes", () =>
      client.send(new sqs.GetQueueAttributesCommand({ QueueUrl, AttributeNames })),
    ),
    onTasks("sqs:DeleteQueue", () => client.send(new sqs.DeleteQueueCommand({ QueueUrl }))),
    {
      ...{ action: "sqs:ListQueues", refusals: [], resources: ["*"] },
      ask: () =>
        client.send(new sqs.ListQueuesCommand({ QueueNamePrefix: stack.queuePrefix, MaxResults: 1 })),
    },
    {
      ...{ action: "sqs:SendMessage", refusals: [], resources: [updates] },
      ask: () => client.send(new sqs.SendMessageCommand(wakeOf(job, stack.updates))),
    },
    {
      ...{ action: "sqs:GetQueueAttributes", refusals: [], resources: [updates] },
      ask: () => client.send(new sqs.GetQueueAttributesCommand({ QueueUrl: stack.updates, AttributeNames })),
    },
  ];
}

/** The name of the queue that is made. */
export const taskQueueOf = ({ stack, job }: Pick<Trial, "stack" | "job">): string =>
  `${stack.queuePrefix}${job}-tasks-1`;

function wakeOf(job: string, QueueUrl: string): sqs.SendMessageCommandInput {
  const wake: Update = { kind: "wake", job, redispatch: false };
  const MessageGroupId = groupOf(wake);
  return {
    QueueUrl,
    MessageBody: JSON.stringify(wake),
    MessageGroupId,
    MessageDeduplicationId: MessageGroupId,
  };
}

async function onceThere(ask: () => Promise<unknown>): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof sqs.QueueDoesNotExist) || tries === TRIES) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
