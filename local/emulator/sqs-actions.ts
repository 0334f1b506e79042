import { hash } from "node:crypto";
import { z } from "zod";
import type { DiskRoom } from "./disk-room.ts";
import { ApiError, notImplemented } from "./errors.ts";
import {
  changeVisibility,
  giveBack,
  invalidParameter,
  type Message,
  remove,
  send,
  sequenceNumber,
} from "./sqs-messages.ts";
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
import type { Receivers } from "./sqs-receivers.ts";
import type { Store } from "./store.ts";

/** What SQS works on. */
export type Sqs = {
  readonly store: Store;
  readonly room: DiskRoom;
  readonly receivers: Receivers;
  readonly now: () => number;
};

/** Who calls: the address it used, and whether it has gone away without its answer. */
export type Caller = { readonly host: string; readonly gone: AbortSignal };

export type Action = (sqs: Sqs, parameters: unknown, caller: Caller) => Promise<object>;

const MAX_BATCH = 10;
const MAX_BATCH_BYTES = 1_048_576;

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

/** An action: its parameters are checked first; one the emulator does not know is not ignored. */
function action<T extends z.ZodRawShape>(
  name: string,
  shape: T,
  run: (sqs: Sqs, parameters: z.infer<z.ZodObject<T, z.core.$strict>>, caller: Caller) => Promise<object>,
): [string, Action] {
  const schema = z.strictObject(shape);
  return [name, (sqs, parameters, caller) => run(sqs, parse(name, schema, parameters), caller)];
}

function parse<T>(name: string, schema: z.ZodType<T>, parameters: unknown): T {
  const parsed = schema.safeParse(parameters);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === "unrecognized_keys");
  if (unknown) throw notImplemented(`${name} with ${unknown.keys.join(", ")}`);
  throw invalidParameter(`${name}: ${z.prettifyError(parsed.error)}`);
}

/** Every action the emulator has, by its name in SQS's reference. */
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
    { QueueNamePrefix: z.string().default(""), MaxResults: z.number().int().min(1).max(1000).optional() },
    async ({ store }, { QueueNamePrefix }, caller) => ({
      QueueUrls: queueNames(store, QueueNamePrefix).map((name) => urlOf(name, caller)),
    }),
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
    await sqs.room.require(Buffer.byteLength(sent.MessageBody));
    return change(sqs, QueueUrl, (queue) => send(sqs.store, queue, sent, sqs.now()));
  }),

  action(
    "SendMessageBatch",
    { QueueUrl: queueUrl, Entries: entries(message) },
    async (sqs, { QueueUrl, Entries }) => {
      const size = Entries.reduce((sum, entry) => sum + Buffer.byteLength(entry.MessageBody), 0);
      const rule = `A batch has at most ${MAX_BATCH_BYTES} bytes, got ${size}`;
      if (size > MAX_BATCH_BYTES) throw new ApiError(400, "BatchRequestTooLong", rule);
      await sqs.room.require(size);
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
      ReceiveRequestAttemptId: z.string().optional(),
    },
    async (sqs, parameters, { gone }) => {
      const queue = requireQueue(sqs.store, nameOf(parameters.QueueUrl));
      const visibilitySeconds = parameters.VisibilityTimeout ?? numberAttribute(queue, "VisibilityTimeout");
      const waitSeconds =
        parameters.WaitTimeSeconds ?? numberAttribute(queue, "ReceiveMessageWaitTimeSeconds");
      const max = parameters.MaxNumberOfMessages;
      const receive = { max, visibilityMs: visibilitySeconds * 1000, waitMs: waitSeconds * 1000, gone };
      const messages = await sqs.receivers.receive(queue, receive);
      gone.addEventListener("abort", () => takeBack(sqs, queue, messages));
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

/** Runs an operation on a queue in a transaction; then whoever waits for its messages may have a turn. */
async function change<T>(
  { store, receivers }: Sqs,
  url: string,
  operation: (queue: Queue) => T,
  options?: { readonly durable: boolean },
): Promise<T> {
  const { value, id } = await store.write(() => {
    const queue = requireQueue(store, nameOf(url));
    return { value: operation(queue), id: queue.id };
  }, options);
  receivers.wake(id);
  return value;
}

/** Runs an operation for each entry of a batch; one that SQS refuses does not stop the others. */
function each<E extends { readonly Id: string }>(
  batch: readonly E[],
  operation: (entry: E) => object,
): object {
  requireBatch(batch);
  const Successful: object[] = [];
  const Failed: object[] = [];
  for (const entry of batch) {
    try {
      Successful.push({ Id: entry.Id, ...operation(entry) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      Failed.push({ Id: entry.Id, Code: error.code, Message: error.message, SenderFault: true });
    }
  }
  return { Successful, ...(Failed.length > 0 ? { Failed } : {}) };
}

function requireBatch(batch: readonly { readonly Id: string }[]): void {
  if (batch.length === 0) throw new ApiError(400, "EmptyBatchRequest", "There should be at least one entry");
  if (batch.length > MAX_BATCH)
    throw new ApiError(
      400,
      "TooManyEntriesInBatchRequest",
      `A batch has at most ${MAX_BATCH} entries, got ${batch.length}`,
    );
  if (new Set(batch.map(({ Id }) => Id)).size < batch.length)
    throw new ApiError(400, "BatchEntryIdsNotDistinct", "Two or more entries have the same Id");
}

function takeBack({ store, receivers, now }: Sqs, queue: Queue, messages: readonly Message[]): void {
  store
    .write(() => giveBack(store, queue, messages, now()), { durable: false })
    .then(
      () => receivers.wake(queue.id),
      // Then they come back when their visibility timeout is over.
      () => {},
    );
}

function urlOf(name: string, { host }: Caller): string {
  return `http://${host}/000000000000/${name}`;
}

function nameOf(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
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
