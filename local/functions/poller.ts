import { setTimeout as sleep } from "node:timers/promises";
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { log } from "../../cloud/log.ts";
import { required } from "../../protocol/required.ts";

/** A queue and the Lambda behind it. */
export type Source = {
  readonly client: SQSClient;
  readonly url: string;
  readonly handler: (event: SQSEvent) => Promise<SQSBatchResponse>;
  /** The queue's visibility timeout. It is renewed at a third of it while the handler works. */
  readonly visibilitySeconds: number;
};

const RETRY_MS = 200;

/**
 * Stands in for Lambda's SQS event source: takes up to 10 messages, calls the handler, and deletes them, except those
 * that the handler reports as failed. Returns when `signal` is aborted and the batch in hand is done.
 */
export async function poll(source: Source, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const messages = await receive(source, signal);
      if (messages.length > 0) await deliver(source, messages);
    } catch (error) {
      if (signal.aborted) return;
      log.warn("poll failed", { error });
      await sleep(RETRY_MS);
    }
  }
}

async function receive({ client, url }: Source, signal: AbortSignal): Promise<Message[]> {
  const command = new ReceiveMessageCommand({
    QueueUrl: url,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 20,
    MessageSystemAttributeNames: ["All"],
  });
  return (await client.send(command, { abortSignal: signal })).Messages ?? [];
}

async function deliver(source: Source, messages: readonly Message[]): Promise<void> {
  const { client, url, handler, visibilitySeconds } = source;
  const renew = () =>
    changeVisibility(source, messages, visibilitySeconds).catch((error: unknown) =>
      log.warn("visibility not renewed", { error }),
    );
  const timer = setInterval(renew, (visibilitySeconds * 1000) / 3);
  try {
    const { batchItemFailures } = await handler({
      Records: messages.map((message) => toRecord(message, url)),
    });
    const failedIds = new Set(batchItemFailures.map((failure) => failure.itemIdentifier));
    const done = messages.filter(({ MessageId }) => !failedIds.has(required(MessageId, "MessageId")));
    if (done.length > 0) {
      await client.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries: done.map(entry) }));
    }
  } finally {
    clearInterval(timer);
  }
}

const entry = ({ ReceiptHandle }: Message, index: number) => ({ Id: String(index), ReceiptHandle });

async function changeVisibility(
  { client, url }: Source,
  messages: readonly Message[],
  seconds: number,
): Promise<void> {
  const Entries = messages.map((message, i) => ({ ...entry(message, i), VisibilityTimeout: seconds }));
  await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries }));
}

/** Turns a message into a record of the event that Lambda calls a handler with. */
function toRecord(message: Message, url: string): SQSRecord {
  const attributes = required(message.Attributes, "Attributes");
  return {
    messageId: required(message.MessageId, "MessageId"),
    receiptHandle: required(message.ReceiptHandle, "ReceiptHandle"),
    body: required(message.Body, "Body"),
    attributes: {
      ...attributes,
      ApproximateReceiveCount: required(attributes.ApproximateReceiveCount, "ApproximateReceiveCount"),
      SentTimestamp: required(attributes.SentTimestamp, "SentTimestamp"),
      // The embedded emulator knows no senders.
      SenderId: attributes.SenderId ?? "local",
      ApproximateFirstReceiveTimestamp: required(
        attributes.ApproximateFirstReceiveTimestamp,
        "ApproximateFirstReceiveTimestamp",
      ),
    },
    messageAttributes: {},
    md5OfBody: required(message.MD5OfBody, "MD5OfBody"),
    eventSource: "aws:sqs",
    eventSourceARN: `arn:aws:sqs:us-east-1:000000000000:${url.split("/").at(-1)}`,
    awsRegion: "us-east-1",
  };
}
