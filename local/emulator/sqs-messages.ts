import { hash, randomBytes, randomUUID } from "node:crypto";
import { required } from "../../protocol/required.ts";
import { ApiError } from "./errors.ts";
import { findQueue, findRedrivePolicy, isFifo, numberAttribute, type Queue } from "./sqs-queues.ts";
import { numberOf, type Row, type Store, textOf } from "./store.ts";

const DEDUPLICATION_MS = 5 * 60 * 1000;

/** A message to send, as SQS names its fields. */
export type NewMessage = {
  readonly MessageBody: string;
  readonly DelaySeconds?: number | undefined;
  readonly MessageGroupId?: string | undefined;
  readonly MessageDeduplicationId?: string | undefined;
};

/** A received message: `handle` is the right to delete it. */
export type Message = {
  readonly seq: number;
  readonly id: string;
  readonly body: string;
  readonly handle: string;
  readonly group: string;
  readonly dedup: string | undefined;
  readonly sent: number;
  readonly firstReceived: number;
  readonly received: number;
};

export function invalidParameter(message: string): ApiError {
  return new ApiError(400, "InvalidParameterValue", message);
}

/** Writes the sequence number of a message of a FIFO queue as SQS does. */
export function sequenceNumber(seq: number): string {
  return String(seq).padStart(20, "0");
}

type Sent = {
  readonly MessageId: string;
  readonly MD5OfMessageBody: string;
  readonly SequenceNumber?: string;
};

/** Puts a message into a queue, inside a transaction, unless one with the same deduplication id was sent before. */
export function send(store: Store, queue: Queue, message: NewMessage, now: number): Sent {
  requireSendable(queue, message);
  const dedup = dedupOf(queue, message);
  const earlier = dedup && findDedup(store, queue, dedup, now);
  const seqAndId = earlier ?? insert(store, queue, message, dedup, now);
  const MD5OfMessageBody = hash("md5", message.MessageBody);
  const sent = { MessageId: seqAndId.id, MD5OfMessageBody };
  return isFifo(queue) ? { ...sent, SequenceNumber: sequenceNumber(seqAndId.seq) } : sent;
}

function requireSendable(queue: Queue, message: NewMessage): void {
  const [size, limit] = [
    Buffer.byteLength(message.MessageBody),
    numberAttribute(queue, "MaximumMessageSize"),
  ];
  if (size === 0)
    throw new ApiError(400, "MissingParameter", "The request must contain the parameter MessageBody.");
  if (size > limit) throw invalidParameter(`A message has at most ${limit} bytes, got ${size}`);
  if (!isFifo(queue)) {
    if (message.MessageDeduplicationId !== undefined)
      throw invalidParameter("MessageDeduplicationId is only for FIFO queues");
    return;
  }
  if (message.MessageGroupId === undefined)
    throw new ApiError(400, "MissingParameter", "The request must contain the parameter MessageGroupId.");
  if (message.DelaySeconds) throw invalidParameter("DelaySeconds of a message is not for FIFO queues");
}

type Dedup = { readonly id: string; readonly scope: string };

function dedupOf(queue: Queue, message: NewMessage): Dedup | undefined {
  if (!isFifo(queue)) return undefined;
  const { ContentBasedDeduplication: byContent, DeduplicationScope: scope } = queue.attributes;
  const id =
    message.MessageDeduplicationId ??
    (byContent === "true" ? hash("sha256", message.MessageBody) : undefined);
  if (id === undefined)
    throw invalidParameter(
      "MessageDeduplicationId must be given: the queue has no ContentBasedDeduplication",
    );
  // A scope of the whole queue is written as the empty group, which no message can have.
  return { id, scope: scope === "messageGroup" ? required(message.MessageGroupId, "MessageGroupId") : "" };
}

type SeqAndId = { readonly seq: number; readonly id: string };

function findDedup(store: Store, queue: Queue, { scope, id }: Dedup, now: number): SeqAndId | null {
  const sql = "SELECT seq, id FROM dedups WHERE queue = ? AND scope = ? AND dedup = ? AND sent > ?";
  const row = store.get(sql, queue.id, scope, id, now - DEDUPLICATION_MS);
  return row ? { seq: numberOf(row, "seq"), id: textOf(row, "id") } : null;
}

function insert(
  store: Store,
  queue: Queue,
  message: NewMessage,
  dedup: Dedup | undefined,
  now: number,
): SeqAndId {
  const id = randomUUID();
  const visible = now + 1000 * (message.DelaySeconds ?? numberAttribute(queue, "DelaySeconds"));
  const { rowid: seq } = store.change(
    `INSERT INTO messages (queue, grp, visible, receipt, received, first, sent, id, dedup, body)
     VALUES (?, ?, ?, NULL, 0, NULL, ?, ?, ?, ?)`,
    queue.id,
    message.MessageGroupId ?? "",
    visible,
    now,
    id,
    dedup?.id ?? null,
    message.MessageBody,
  );
  if (dedup) {
    const sql =
      "INSERT OR REPLACE INTO dedups (queue, scope, dedup, sent, seq, id) VALUES (?, ?, ?, ?, ?, ?)";
    store.change(sql, queue.id, dedup.scope, dedup.id, now, seq, id);
  }
  return { seq, id };
}

// A message in flight locks its group, and a delayed message locks those after it.
const NEXT_OF_FIFO = `SELECT * FROM messages WHERE seq IN (
    SELECT seq FROM messages m INDEXED BY messages_in_order WHERE queue = ?1 AND visible <= ?2 AND NOT EXISTS (
      SELECT 1 FROM messages lock WHERE lock.queue = ?1 AND lock.grp = m.grp AND lock.visible > ?2
        AND (lock.receipt IS NOT NULL OR lock.seq < m.seq))
    ORDER BY seq LIMIT ?3)
  ORDER BY seq`;
const NEXT = "SELECT * FROM messages WHERE queue = ?1 AND visible <= ?2 ORDER BY visible, seq LIMIT ?3";

export type Take = { readonly max: number; readonly visibilityMs: number; readonly now: number };

/**
 * Takes up to `max` messages into flight, inside a transaction. Those received too often go to the dead-letter queue
 * instead; `dead` is the id of a queue that got some.
 */
export function take(store: Store, queue: Queue, { max, visibilityMs, now }: Take) {
  const policy = findRedrivePolicy(queue);
  // While its dead-letter queue does not exist, a message stays in its queue and is received again.
  const deadLetters = policy && findQueue(store, policy.queue);
  const messages: Message[] = [];
  let dead: number | undefined;
  for (;;) {
    const wanted = max - messages.length;
    const rows = wanted > 0 ? store.all(isFifo(queue) ? NEXT_OF_FIFO : NEXT, queue.id, now, wanted) : [];
    const spent = rows.filter((row) => deadLetters && numberOf(row, "received") >= policy.maxReceiveCount);
    if (deadLetters && spent.length > 0) {
      dead = move(store, spent, deadLetters);
      continue;
    }
    for (const row of rows) messages.push(receive(store, queue, row, now + visibilityMs, now));
    return { messages, dead };
  }
}

function move(store: Store, rows: readonly Row[], target: Queue): number {
  const sql = "UPDATE messages SET queue = ?, receipt = NULL WHERE seq = ?";
  for (const row of rows) store.change(sql, target.id, numberOf(row, "seq"));
  return target.id;
}

function receive(store: Store, queue: Queue, row: Row, visible: number, now: number): Message {
  const receipt = randomBytes(12).toString("base64url");
  const seq = numberOf(row, "seq");
  const received = numberOf(row, "received") + 1;
  const firstReceived = row.first === null ? now : numberOf(row, "first");
  const sql = "UPDATE messages SET visible = ?, receipt = ?, received = ?, first = ? WHERE seq = ?";
  store.change(sql, visible, receipt, received, firstReceived, seq);
  const handle = Buffer.from(JSON.stringify([queue.id, seq, receipt])).toString("base64url");
  const dedup = row.dedup === null ? undefined : textOf(row, "dedup");
  const [id, body, group] = [textOf(row, "id"), textOf(row, "body"), textOf(row, "grp")];
  return { seq, id, body, handle, group, dedup, sent: numberOf(row, "sent"), firstReceived, received };
}

type Receipt = { readonly seq: number; readonly receipt: string };

function parseHandle(queue: Queue, handle: string): Receipt {
  const [, queueId, seq, receipt] =
    /^\[(\d+),(\d+),"([\w-]+)"\]$/.exec(Buffer.from(handle, "base64url").toString()) ?? [];
  if (Number(queueId) !== queue.id || receipt === undefined)
    throw new ApiError(400, "ReceiptHandleIsInvalid", `Not a receipt handle of ${queue.name}: ${handle}`);
  return { seq: Number(seq), receipt };
}

/** Finds the message of a receipt; `current` unless it was received again since. */
function findReceived(store: Store, queue: Queue, { seq, receipt }: Receipt) {
  const row = store.get("SELECT visible, receipt FROM messages WHERE seq = ? AND queue = ?", seq, queue.id);
  return row ? { visible: numberOf(row, "visible"), current: row.receipt === receipt } : null;
}

/**
 * Deletes a message, inside a transaction. A handle whose message was received again deletes nothing, and one of a FIFO
 * queue works only until its visibility timeout.
 */
export function remove(store: Store, queue: Queue, handle: string, now: number): void {
  const receipt = parseHandle(queue, handle);
  const message = findReceived(store, queue, receipt);
  if (!message) return;
  if (isFifo(queue) && (!message.current || message.visible <= now))
    throw invalidParameter("The receipt handle has expired: its visibility timeout is over");
  if (message.current) store.change("DELETE FROM messages WHERE seq = ?", receipt.seq);
}

/** Moves the end of a message's visibility timeout, inside a transaction; 0 makes it visible at once. */
export function changeVisibility(
  store: Store,
  queue: Queue,
  handle: string,
  seconds: number,
  now: number,
): void {
  const receipt = parseHandle(queue, handle);
  const message = findReceived(store, queue, receipt);
  if (!message) throw invalidParameter("ReceiptHandle: the message does not exist, it was deleted");
  if (!message.current || message.visible <= now)
    throw new ApiError(400, "MessageNotInflight", "The message is not in flight with this receipt handle");
  store.change("UPDATE messages SET visible = ? WHERE seq = ?", now + seconds * 1000, receipt.seq);
}

/** Makes messages visible again whose receiver disconnected before it got them, inside a transaction. */
export function undoReceive(store: Store, queue: Queue, messages: readonly Message[], now: number): void {
  for (const { handle } of messages) {
    const { seq, receipt } = parseHandle(queue, handle);
    const sql =
      "UPDATE messages SET visible = ?, receipt = NULL, received = received - 1 WHERE seq = ? AND receipt = ?";
    store.change(sql, now, seq, receipt);
  }
}

/** Finds the time at which the next message in flight or delayed becomes visible; null when there is none. */
export function findNextVisible(store: Store, queueId: number, now: number): number | null {
  const sql = "SELECT visible FROM messages WHERE queue = ? AND visible > ? ORDER BY visible LIMIT 1";
  const row = store.get(sql, queueId, now);
  return row ? numberOf(row, "visible") : null;
}

/** Removes deduplication ids that have expired, inside a transaction. */
export function removeExpiredDedups(store: Store, now: number): void {
  store.change("DELETE FROM dedups WHERE sent <= ?", now - DEDUPLICATION_MS);
}

/** Removes a queue's messages that are past its retention period, inside a transaction. */
export function removeExpiredMessages(store: Store, queue: Queue, now: number): void {
  const expired = now - 1000 * numberAttribute(queue, "MessageRetentionPeriod");
  store.change("DELETE FROM messages WHERE queue = ? AND sent <= ?", queue.id, expired);
}
