import { z } from "zod";
import { ApiError, notImplemented } from "./errors.ts";
import { numberOf, type Row, type Store, textOf } from "./store.ts";

export type Queue = {
  readonly id: number;
  readonly name: string;
  readonly attributes: Attributes;
  readonly created: number;
  readonly modified: number;
};

export type RedrivePolicy = { readonly queue: string; readonly maxReceiveCount: number };

/** A queue's attributes as SQS writes them: every value is a string. */
export type Attributes = Readonly<Record<string, string>>;

const ARN_PREFIX = "arn:aws:sqs:us-east-1:000000000000:";
const NUMBERS: Readonly<Record<string, readonly [fallback: number, min: number, max: number]>> = {
  DelaySeconds: [0, 0, 900],
  MaximumMessageSize: [1_048_576, 1024, 1_048_576],
  MessageRetentionPeriod: [345_600, 60, 1_209_600],
  ReceiveMessageWaitTimeSeconds: [0, 0, 20],
  VisibilityTimeout: [30, 0, 43_200],
};
const FIFO_WORDS: Readonly<Record<string, readonly string[]>> = {
  FifoQueue: ["true"],
  ContentBasedDeduplication: ["false", "true"],
  DeduplicationScope: ["queue", "messageGroup"],
  FifoThroughputLimit: ["perQueue", "perMessageGroupId"],
};

export function isFifo({ name }: { readonly name: string }): boolean {
  return name.endsWith(".fifo");
}

function arnOf({ name }: { readonly name: string }): string {
  return ARN_PREFIX + name;
}

/** A numeric attribute of a queue, or its default. */
export function numberAttribute({ attributes }: Queue, name: keyof typeof NUMBERS): number {
  return Number(attributes[name] ?? NUMBERS[name]?.[0]);
}

const redrivePolicy = z.strictObject({
  deadLetterTargetArn: z.string().startsWith(ARN_PREFIX),
  maxReceiveCount: z.coerce.number().int().min(1).max(1000),
});

/** Where messages go that were received too often. */
export function redriveOf({ attributes }: Queue): RedrivePolicy | undefined {
  if (!attributes.RedrivePolicy) return undefined;
  const { deadLetterTargetArn, maxReceiveCount } = redrivePolicy.parse(JSON.parse(attributes.RedrivePolicy));
  return { queue: deadLetterTargetArn.slice(ARN_PREFIX.length), maxReceiveCount };
}

export function noSuchQueue(): ApiError {
  return new ApiError(400, "QueueDoesNotExist", "The specified queue does not exist.");
}

function invalidAttribute(message: string): ApiError {
  return new ApiError(400, "InvalidAttributeValue", message);
}

function queueOf(row: Row): Queue {
  return {
    id: numberOf(row, "id"),
    name: textOf(row, "name"),
    attributes: JSON.parse(textOf(row, "attributes")),
    created: numberOf(row, "created"),
    modified: numberOf(row, "modified"),
  };
}

export function findQueue(store: Store, name: string): Queue | undefined {
  const row = store.get("SELECT * FROM queues WHERE name = ?", name);
  return row && queueOf(row);
}

export function requireQueue(store: Store, name: string): Queue {
  const queue = findQueue(store, name);
  if (!queue) throw noSuchQueue();
  return queue;
}

/** Creates a queue, inside a transaction; one that is there already must have the attributes given. */
export function createQueue(store: Store, name: string, attributes: Attributes, now: number): void {
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(name.replace(/\.fifo$/, "")) || name.length > 80)
    throw new ApiError(400, "InvalidParameterValue", `Not a queue name: ${name}`);
  const existing = findQueue(store, name);
  if (existing) {
    requireSame(existing, attributes);
    return;
  }
  if (isFifo({ name }) !== (attributes.FifoQueue === "true"))
    throw new ApiError(
      400,
      "InvalidParameterValue",
      `FifoQueue must be true for names in .fifo and no other: ${name}`,
    );
  requireAttributes(store, name, attributes);
  const sql = "INSERT INTO queues (name, attributes, created, modified) VALUES (?, ?, ?, ?)";
  store.change(sql, name, JSON.stringify(attributes), now, now);
}

function requireSame(queue: Queue, attributes: Attributes): void {
  const known = settingsOf(queue);
  const different = Object.keys(attributes).find((name) => !sameValue(known[name], attributes[name]));
  if (different === undefined) return;
  throw new ApiError(400, "QueueNameExists", `A queue ${queue.name} exists with another ${different}`);
}

function sameValue(a: string | undefined, b: string | undefined): boolean {
  const canonical = (value: string | undefined) =>
    value?.startsWith("{") ? JSON.stringify(redrivePolicy.parse(JSON.parse(value))) : value;
  return canonical(a) === canonical(b);
}

/** Changes some of a queue's attributes, inside a transaction. An empty policy removes it. */
export function setAttributes(store: Store, name: string, changes: Attributes, now: number): Queue {
  const queue = requireQueue(store, name);
  requireAttributes(store, name, changes);
  const entries = Object.entries({ ...queue.attributes, ...changes }).filter(([, value]) => value !== "");
  const attributes = Object.fromEntries(entries);
  store.change(
    "UPDATE queues SET attributes = ?, modified = ? WHERE id = ?",
    JSON.stringify(attributes),
    now,
    queue.id,
  );
  return queue;
}

function requireAttributes(store: Store, name: string, attributes: Attributes): void {
  for (const [attribute, value] of Object.entries(attributes)) {
    const [, min = 0, max = 0] = NUMBERS[attribute] ?? [];
    const words = isFifo({ name }) ? FIFO_WORDS[attribute] : undefined;
    if (attribute === "RedrivePolicy") requireRedrivePolicy(store, name, value);
    else if (NUMBERS[attribute] && !(/^\d+$/.test(value) && Number(value) >= min && Number(value) <= max))
      throw invalidAttribute(`${attribute} must be between ${min} and ${max}, got ${value}`);
    else if (words && !words.includes(value))
      throw invalidAttribute(`${attribute} must be ${words.join(" or ")}, got ${value}`);
    else if (!NUMBERS[attribute] && !words) throw unknownAttribute(attribute);
  }
}

function unknownAttribute(name: string): ApiError {
  if (!FIFO_WORDS[name]) return notImplemented(`the queue attribute ${name}`);
  return new ApiError(400, "InvalidAttributeName", `Unknown Attribute ${name}: only FIFO queues have it`);
}

function requireRedrivePolicy(store: Store, name: string, value: string): void {
  if (value === "") return;
  const policy = redrivePolicy.safeParse(parseJson(value));
  if (!policy.success)
    throw invalidAttribute(`RedrivePolicy: ${z.prettifyError(policy.error)}, got ${value}`);
  const target = policy.data.deadLetterTargetArn.slice(ARN_PREFIX.length);
  if (!findQueue(store, target)) throw invalidAttribute(`RedrivePolicy: there is no queue ${target}`);
  if (isFifo({ name: target }) !== isFifo({ name }))
    throw invalidAttribute("RedrivePolicy: a dead-letter queue must be of the same type as its source");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Removes a queue and its messages, inside a transaction. */
export function deleteQueue(store: Store, name: string): Queue {
  const queue = requireQueue(store, name);
  for (const table of ["messages", "dedups"]) store.change(`DELETE FROM ${table} WHERE queue = ?`, queue.id);
  store.change("DELETE FROM queues WHERE id = ?", queue.id);
  return queue;
}

/** The names of the queues with a prefix, sorted. */
export function queueNames(store: Store, prefix: string): string[] {
  const names = store.all("SELECT name FROM queues ORDER BY name").map((row) => textOf(row, "name"));
  return names.filter((name) => name.startsWith(prefix));
}

function settingsOf(queue: Queue): Record<string, string> {
  const numbers = Object.keys(NUMBERS).map((name) => [name, String(numberAttribute(queue, name))]);
  const words = Object.entries(FIFO_WORDS).map(([name, [first = ""]]) => [name, first]);
  return {
    ...Object.fromEntries(numbers),
    ...(isFifo(queue) ? Object.fromEntries(words) : {}),
    ...queue.attributes,
  };
}

/** Everything that can be asked about a queue. */
export function allAttributes(store: Store, queue: Queue, now: number): Record<string, string> {
  const counts = store.get(
    `SELECT count(*) FILTER (WHERE visible <= ?2) AS ready,
       count(*) FILTER (WHERE visible > ?2 AND receipt IS NOT NULL) AS taken,
       count(*) FILTER (WHERE visible > ?2 AND receipt IS NULL) AS delayed
     FROM messages WHERE queue = ?1`,
    queue.id,
    now,
  );
  return {
    ...settingsOf(queue),
    QueueArn: arnOf(queue),
    ApproximateNumberOfMessages: String(counts?.ready),
    ApproximateNumberOfMessagesNotVisible: String(counts?.taken),
    ApproximateNumberOfMessagesDelayed: String(counts?.delayed),
    CreatedTimestamp: String(Math.floor(queue.created / 1000)),
    LastModifiedTimestamp: String(Math.floor(queue.modified / 1000)),
  };
}
