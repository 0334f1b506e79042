import { hash } from "node:crypto";
import { z } from "zod";
import { required } from "../../protocol/required.ts";
import { ApiError } from "./errors.ts";
import { type Action, action, type Caller, change, each, nameOf, type Sqs } from "./sqs-action.ts";
import { changeVisibility, type Message, remove, send, sequenceNumber, undoReceive } from "./sqs-messages.ts";
import {
  allAttributes,
  createQueue,
  deleteQueue,
  numberAttribute,
  type Queue,
  queueNames,
  requireQueue,
  setAttributes,
} from "./sqs-queues.ts";

const MAX_BATCH_BYTES = 1_048_576;
const MAX_LISTED = 1000;

const queueUrl = z.string().min(1);
const message = {
  MessageBody: z.string(),
  DelaySeconds: z.number().int().min(0).max(900).optional(),
  MessageGroupId: z.string().min(1).max(128).optional(),
  MessageDeduplicationId: z.string().min(1).max(128).optional(),
};
const visibility = z.number().int().min(0).max(43_200);
const attributes = z.record(z.string(), z.string()).default({});
const names = z.array(z.string()).default([]);

function entries<T extends z.ZodRawShape>(shape: T) {
  return z.array(z.strictObject({ Id: z.string().regex(/^[\w-]{1,80}$/), ...shape }));
}

/** The actions that the emulator has, by their names in SQS's reference. */
export const ACTIONS: ReadonlyMap<string, Action> = new Map([
  action(
    "CreateQueue",
    { QueueName: z.string(), Attributes: attributes },
    async (sqs, { QueueName, Attributes }, caller) => {
      await sqs.store.write(() => createQueue(sqs.store, QueueName, Attributes, sqs.now()));
      return { QueueUrl: urlOf(QueueName, caller) };
    },
  ),

  action("GetQueueUrl", { QueueName: z.string() }, async ({ store }, { QueueName }, caller) => {
    requireQueue(store, QueueName);
    return { QueueUrl: urlOf(QueueName, caller) };
  }),

  action("DeleteQueue", { QueueUrl: queueUrl }, async ({ store, receivers }, { QueueUrl }) => {
    const { id } = await store.write(() => deleteQueue(store, nameOf(QueueUrl)));
    receivers.close(id);
    return {};
  }),

  action(
    "ListQueues",
    {
      QueueNamePrefix: z.string().default(""),
      MaxResults: z.number().int().min(1).max(1000).optional(),
      NextToken: z.string().optional(),
    },
    async ({ store }, { QueueNamePrefix, MaxResults, NextToken }, caller) => {
      const after = NextToken === undefined ? "" : Buffer.from(NextToken, "base64").toString();
      const names = queueNames(store, QueueNamePrefix).filter((name) => name > after);
      const page = names.slice(0, MaxResults ?? MAX_LISTED);
      // As on AWS, there is another page only where MaxResults was given.
      const hasNext = MaxResults !== undefined && page.length < names.length;
      return {
        QueueUrls: page.map((name) => urlOf(name, caller)),
        ...(hasNext && {
          NextToken: Buffer.from(required(page.at(-1), "the last queue of a page")).toString("base64"),
        }),
      };
    },
  ),

  action(
    "GetQueueAttributes",
    { QueueUrl: queueUrl, AttributeNames: names },
    async ({ store, now }, { QueueUrl, AttributeNames }) => ({
      Attributes: pick(allAttributes(store, requireQueue(store, nameOf(QueueUrl)), now()), AttributeNames),
    }),
  ),

  action(
    "SetQueueAttributes",
    { QueueUrl: queueUrl, Attributes: attributes },
    async (sqs, { QueueUrl, Attributes }) => {
      const { store, receivers, now } = sqs;
      const { id } = await store.write(() => setAttributes(store, nameOf(QueueUrl), Attributes, now()));
      receivers.wake(id);
      return {};
    },
  ),

  action("PurgeQueue", { QueueUrl: queueUrl }, (sqs, { QueueUrl }) =>
    change(sqs, QueueUrl, ({ id }) => {
      sqs.store.change("DELETE FROM messages WHERE queue = ?", id);
      return {};
    }),
  ),

  action("SendMessage", { QueueUrl: queueUrl, ...message }, async (sqs, { QueueUrl, ...sent }) => {
    await sqs.space.require(Buffer.byteLength(sent.MessageBody));
    return change(sqs, QueueUrl, (queue) => send(sqs.store, queue, sent, sqs.now()));
  }),

  action(
    "SendMessageBatch",
    { QueueUrl: queueUrl, Entries: entries(message) },
    async (sqs, { QueueUrl, Entries }) => {
      const size = Entries.reduce((sum, entry) => sum + Buffer.byteLength(entry.MessageBody), 0);
      const rule = `A batch has at most ${MAX_BATCH_BYTES} bytes, got ${size}`;
      if (size > MAX_BATCH_BYTES) throw new ApiError(400, "BatchRequestTooLong", rule);
      await sqs.space.require(size);
      return change(sqs, QueueUrl, (queue) =>
        each(Entries, (entry) => send(sqs.store, queue, entry, sqs.now())),
      );
    },
  ),

  action(
    "ReceiveMessage",
    {
      QueueUrl: queueUrl,
      MaxNumberOfMessages: z.number().int().min(1).max(10).default(1),
      WaitTimeSeconds: z.number().int().min(0).max(20).optional(),
      VisibilityTimeout: visibility.optional(),
      AttributeNames: names,
      MessageSystemAttributeNames: names,
    },
    async (sqs, parameters, { gone }) => {
      const queue = requireQueue(sqs.store, nameOf(parameters.QueueUrl));
      const visibilitySeconds = parameters.VisibilityTimeout ?? numberAttribute(queue, "VisibilityTimeout");
      const waitSeconds =
        parameters.WaitTimeSeconds ?? numberAttribute(queue, "ReceiveMessageWaitTimeSeconds");
      const max = parameters.MaxNumberOfMessages;
      const receive = { max, visibilityMs: visibilitySeconds * 1000, waitMs: waitSeconds * 1000, gone };
      const messages = await sqs.receivers.receive(queue, receive);
      gone.addEventListener("abort", () => undo(sqs, queue, messages));
      const wanted = [...parameters.AttributeNames, ...parameters.MessageSystemAttributeNames];
      return messages.length > 0 ? { Messages: messages.map((received) => describe(received, wanted)) } : {};
    },
  ),

  action(
    "DeleteMessage",
    { QueueUrl: queueUrl, ReceiptHandle: z.string() },
    (sqs, { QueueUrl, ReceiptHandle }) =>
      change(sqs, QueueUrl, (queue) => {
        remove(sqs.store, queue, ReceiptHandle, sqs.now());
        return {};
      }),
  ),

  action(
    "DeleteMessageBatch",
    { QueueUrl: queueUrl, Entries: entries({ ReceiptHandle: z.string() }) },
    (sqs, { QueueUrl, Entries }) =>
      change(sqs, QueueUrl, (queue) =>
        each(Entries, ({ ReceiptHandle }) => {
          remove(sqs.store, queue, ReceiptHandle, sqs.now());
          return {};
        }),
      ),
  ),

  action(
    "ChangeMessageVisibility",
    { QueueUrl: queueUrl, ReceiptHandle: z.string(), VisibilityTimeout: visibility },
    (sqs, { QueueUrl, ReceiptHandle, VisibilityTimeout }) =>
      change(
        sqs,
        QueueUrl,
        (queue) => {
          changeVisibility(sqs.store, queue, ReceiptHandle, VisibilityTimeout, sqs.now());
          return {};
        },
        { durable: false },
      ),
  ),

  action(
    "ChangeMessageVisibilityBatch",
    { QueueUrl: queueUrl, Entries: entries({ ReceiptHandle: z.string(), VisibilityTimeout: visibility }) },
    (sqs, { QueueUrl, Entries }) =>
      change(
        sqs,
        QueueUrl,
        (queue) =>
          each(Entries, ({ ReceiptHandle, VisibilityTimeout }) => {
            changeVisibility(sqs.store, queue, ReceiptHandle, VisibilityTimeout, sqs.now());
            return {};
          }),
        { durable: false },
      ),
  ),
]);

function undo({ store, receivers, now }: Sqs, queue: Queue, messages: readonly Message[]): void {
  store
    .write(() => undoReceive(store, queue, messages, now()), { durable: false })
    .then(
      () => receivers.wake(queue.id),
      // Then they become visible when their visibility timeout is over.
      () => {},
    );
}

function urlOf(name: string, { host }: Caller): string {
  return `http://${host}/000000000000/${name}`;
}

function pick(values: Readonly<Record<string, string>>, wanted: readonly string[]): Record<string, string> {
  const all = wanted.includes("All");
  return Object.fromEntries(Object.entries(values).filter(([name]) => all || wanted.includes(name)));
}

function describe(message: Message, wanted: readonly string[]): object {
  const grouped = message.group === "" ? {} : { MessageGroupId: message.group };
  const fifo =
    message.dedup === undefined
      ? {}
      : { MessageDeduplicationId: message.dedup, SequenceNumber: sequenceNumber(message.seq) };
  const values = {
    ApproximateReceiveCount: String(message.received),
    ApproximateFirstReceiveTimestamp: String(message.firstReceived),
    SentTimestamp: String(message.sent),
    ...grouped,
    ...fifo,
  };
  const Attributes = pick(values, wanted);
  return {
    MessageId: message.id,
    ReceiptHandle: message.handle,
    MD5OfBody: hash("md5", message.body),
    Body: message.body,
    ...(Object.keys(Attributes).length > 0 ? { Attributes } : {}),
  };
}
