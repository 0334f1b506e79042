import { z } from "zod";
import { required } from "../../protocol/required.ts";
import { ApiError, notImplemented } from "./errors.ts";
import { jsonOf, numberOf, type Row, type Store, textOf } from "./store.ts";

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
type NumberRule = { readonly byDefault: number; readonly min: number; readonly max: number };

const NUMBERS = {
  DelaySeconds: { byDefault: 0, min: 0, max: 900 },
  MaximumMessageSize: { byDefault: 1_048_576, min: 1024, max: 1_048_576 },
  MessageRetentionPeriod: { byDefault: 345_600, min: 60, max: 1_209_600 },
  ReceiveMessageWaitTimeSeconds: { byDefault: 0, min: 0, max: 20 },
  VisibilityTimeout: { byDefault: 30, min: 0, max: 43_200 },
} as const satisfies Readonly<Record<string, NumberRule>>;
const NUMBER_RULES: ReadonlyMap<string, NumberRule> = new Map(Object.entries(NUMBERS));
/** The values that each attribute of FIFO queues may have, the default first. */
const FIFO_WORDS: ReadonlyMap<string, readonly [string, ...string[]]> = new Map([
  ["FifoQueue", ["true"]],
  ["ContentBasedDeduplication", ["false", "true"]],
  ["DeduplicationScope", ["queue", "messageGroup"]],
  ["FifoThroughputLimit", ["perQueue", "perMessageGroupId"]],
]);

export function isFifo({ name }: { readonly name: string }): boolean {
  return name.endsWith(".fifo");
}

function arnOf({ name }: { readonly name: string }): string {
  return ARN_PREFIX + name;
}

/** Returns a numeric attribute of a queue, or its default. */
export function numberAttribute({ attributes }: Queue, name: keyof typeof NUMBERS): number {
  return Number(attributes[name] ?? NUMBERS[name].byDefault);
}

const redrivePolicy = z.strictObject({
  deadLetterTargetArn: z.string().startsWith(ARN_PREFIX),
  maxReceiveCount: z.coerce.number().int().min(1).max(1000),
});

/** Finds the policy that says where messages go that were received too often; null when there is none. */
export function findRedrivePolicy({ attributes }: Queue): RedrivePolicy | null {
  if (!attributes.RedrivePolicy) return null;
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
    attributes: jsonOf(row, "attributes", z.record(z.string(), z.string())),
    created: numberOf(row, "created"),
    modified: numberOf(row, "modified"),
  };
}

export function findQueue(store: Store, name: string): Queue | null {
  const row = store.get("SELECT * FROM queues WHERE name = ?", name);
  return row ? queueOf(row) : null;
}

export function requireQueue(store: Store, name: string): Queue {
  const queue = findQueue(store, name);
  if (!queue) throw noSuchQueue();
  return queue;
}

/** Creates a queue, inside a transaction. One that is there already must have the same attributes. */
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
  const settings = settingsOf(queue);
  const different = Object.keys(attributes).find((name) => !sameValue(settings[name], attributes[name]));
  if (different === undefined) return;
  throw new ApiError(400, "QueueNameExists", `A queue ${queue.name} exists with another ${different}`);
}

function sameValue(a: string | undefined, b: string | undefined): boolean {
  const canonical = (value: string | undefined) =>
    value?.startsWith("{") ? JSON.stringify(redrivePolicy.parse(JSON.parse(value))) : value;
  return canonical(a) === canonical(b);
}

/** Changes some of a queue's attributes, inside a transaction. An empty value removes one. */
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
    const rule = NUMBER_RULES.get(attribute);
    const words = isFifo({ name }) ? FIFO_WORDS.get(attribute) : undefined;
    if (attribute === "RedrivePolicy") requireRedrivePolicy(store, name, value);
    else if (rule) requireNumber(attribute, value, rule);
    else if (!words) throw unknownAttribute(attribute);
    else if (!words.includes(value))
      throw invalidAttribute(`${attribute} must be ${words.join(" or ")}, got ${value}`);
  }
}

function requireNumber(attribute: string, value: string, { min, max }: NumberRule): void {
  if (/^\d+$/.test(value) && Number(value) >= min && Number(value) <= max) return;
  throw invalidAttribute(`${attribute} must be between ${min} and ${max}, got ${value}`);
}

function unknownAttribute(name: string): ApiError {
  if (!FIFO_WORDS.has(name)) return notImplemented(`the queue attribute ${name}`);
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
    // The schema refuses it with the text that was sent.
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

/** Returns the names of the queues with a prefix, sorted. */
export function queueNames(store: Store, prefix: string): string[] {
  const names = store.all("SELECT name FROM queues ORDER BY name").map((row) => textOf(row, "name"));
  return names.filter((name) => name.startsWith(prefix));
}

function settingsOf(queue: Queue): Record<string, string> {
  const numbers = Object.entries(NUMBERS).map(([name, { byDefault }]) => [name, String(byDefault)]);
  const words = [...FIFO_WORDS].map(([name, [byDefault]]) => [name, byDefault]);
  return {
    ...Object.fromEntries(numbers),
    ...(isFifo(queue) ? Object.fromEntries(words) : {}),
    ...queue.attributes,
  };
}

/** Returns all attributes of a queue. */
export function allAttributes(store: Store, queue: Queue, now: number): Record<string, string> {
  const row = store.get(
    `SELECT count(*) FILTER (WHERE visible <= ?2) AS ready,
       count(*) FILTER (WHERE visible > ?2 AND receipt IS NOT NULL) AS taken,
       count(*) FILTER (WHERE visible > ?2 AND receipt IS NULL) AS delayed
     FROM messages WHERE queue = ?1`,
    queue.id,
    now,
  );
  const counts = required(row, "the number of messages");
  return {
    ...settingsOf(queue),
    QueueArn: arnOf(queue),
    ApproximateNumberOfMessages: String(numberOf(counts, "ready")),
    ApproximateNumberOfMessagesNotVisible: String(numberOf(counts, "taken")),
    ApproximateNumberOfMessagesDelayed: String(numberOf(counts, "delayed")),
    CreatedTimestamp: String(Math.floor(queue.created / 1000)),
    LastModifiedTimestamp: String(Math.floor(queue.modified / 1000)),
  };
}
