import { hash, randomBytes, randomUUID } from "node:crypto";
import { ApiError } from "./errors.ts";
import { findQueue, isFifo, numberAttribute, type Queue, redriveOf } from "./sqs-queues.ts";
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

/** How SQS writes a message's place in its queue. */
export function sequenceNumber(seq: number): string {
  return String(seq).padStart(20, "0");
}

type Sent = {
  readonly MessageId: string;
  readonly MD5OfMessageBody: string;
  readonly SequenceNumber?: string;
};

/** Puts a message into a queue, inside a transaction; one sent before with the same deduplication id only once. */
export function send(store: Store, queue: Queue, message: NewMessage, now: number): Sent {
  requireSendable(queue, message);
  const dedup = dedupOf(queue, message);
  const twin = dedup && findDedup(store, queue, dedup, now);
  const seqAndId = twin || insert(store, queue, message, dedup, now);
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
  return { id, scope: scope === "messageGroup" ? (message.MessageGroupId ?? "") : "" };
}

type SeqAndId = { readonly seq: number; readonly id: string };

function findDedup(store: Store, queue: Queue, { scope, id }: Dedup, now: number): SeqAndId | undefined {
  const sql = "SELECT seq, id FROM dedups WHERE queue = ? AND scope = ? AND dedup = ? AND sent > ?";
  const row = store.get(sql, queue.id, scope, id, now - DEDUPLICATION_MS);
  return row && { seq: numberOf(row, "seq"), id: textOf(row, "id") };
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

// A group is locked while a message of it is in flight, and a delayed message holds back those after it.
const NEXT_OF_FIFO = `SELECT * FROM messages WHERE seq IN (
    SELECT seq FROM messages m INDEXED BY messages_in_order WHERE queue = ?1 AND visible <= ?2 AND NOT EXISTS (
      SELECT 1 FROM messages held WHERE held.queue = ?1 AND held.grp = m.grp AND held.visible > ?2
        AND (held.receipt IS NOT NULL OR held.seq < m.seq))
    ORDER BY seq LIMIT ?3)
  ORDER BY seq`;
const NEXT = "SELECT * FROM messages WHERE queue = ?1 AND visible <= ?2 ORDER BY visible, seq LIMIT ?3";

export type Take = { readonly max: number; readonly visibilityMs: number; readonly now: number };

/**
 * Takes up to `max` messages into flight, inside a transaction. Those received too often go to the
 * dead-letter queue instead; `dead` says which queue got some.
 */
export function take(store: Store, queue: Queue, { max, visibilityMs, now }: Take) {
  const redrive = redriveOf(queue);
  // Without its dead-letter queue a message stays where it is, and goes on being received.
  const graveyard = redrive && findQueue(store, redrive.queue);
  const messages: Message[] = [];
  let dead: number | undefined;
  for (;;) {
    const wanted = max - messages.length;
    const rows = wanted > 0 ? store.all(isFifo(queue) ? NEXT_OF_FIFO : NEXT, queue.id, now, wanted) : [];
    const spent = rows.filter((row) => graveyard && numberOf(row, "received") >= redrive.maxReceiveCount);
    if (graveyard && spent.length > 0) {
      dead = bury(store, graveyard, spent);
      continue;
    }
    for (const row of rows) messages.push(receive(store, queue, row, now + visibilityMs, now));
    return { messages, dead };
  }
}

function bury(store: Store, target: Queue, rows: readonly Row[]): number {
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

type Held = { readonly seq: number; readonly receipt: string };

function parseHandle(queue: Queue, handle: string): Held {
  const [, queueId, seq, receipt] =
    /^\[(\d+),(\d+),"([\w-]+)"\]$/.exec(Buffer.from(handle, "base64url").toString()) ?? [];
  if (Number(queueId) !== queue.id || receipt === undefined)
    throw new ApiError(400, "ReceiptHandleIsInvalid", `Not a receipt handle of ${queue.name}: ${handle}`);
  return { seq: Number(seq), receipt };
}

/** The message of a handle if it is still there; `current` unless it was received again since. */
function findHeld(store: Store, queue: Queue, { seq, receipt }: Held) {
  const row = store.get("SELECT visible, receipt FROM messages WHERE seq = ? AND queue = ?", seq, queue.id);
  return row && { visible: numberOf(row, "visible"), current: row.receipt === receipt };
}

/**
 * Deletes a message, inside a transaction. A handle whose message was received again deletes nothing,
 * and one of a FIFO queue works only until its visibility timeout.
 */
export function remove(store: Store, queue: Queue, handle: string, now: number): void {
  const held = parseHandle(queue, handle);
  const found = findHeld(store, queue, held);
  if (!found) return;
  if (isFifo(queue) && (!found.current || found.visible <= now))
    throw invalidParameter("The receipt handle has expired: its visibility timeout is over");
  if (found.current) store.change("DELETE FROM messages WHERE seq = ?", held.seq);
}

/** Moves the end of a message's visibility timeout, inside a transaction; 0 gives it back at once. */
export function changeVisibility(
  store: Store,
  queue: Queue,
  handle: string,
  seconds: number,
  now: number,
): void {
  const held = parseHandle(queue, handle);
  const found = findHeld(store, queue, held);
  if (!found) throw invalidParameter("ReceiptHandle: the message does not exist, it was deleted");
  if (!found.current || found.visible <= now)
    throw new ApiError(400, "MessageNotInflight", "The message is not in flight with this receipt handle");
  store.change("UPDATE messages SET visible = ? WHERE seq = ?", now + seconds * 1000, held.seq);
}

/** Takes back messages whose receiver went away before it got them, inside a transaction. */
export function giveBack(store: Store, queue: Queue, messages: readonly Message[], now: number): void {
  for (const { handle } of messages) {
    const { seq, receipt } = parseHandle(queue, handle);
    const sql =
      "UPDATE messages SET visible = ?, receipt = NULL, received = received - 1 WHERE seq = ? AND receipt = ?";
    store.change(sql, now, seq, receipt);
  }
}

/** When the next message in flight or delayed becomes visible. */
export function nextVisible(store: Store, queueId: number, now: number): number | undefined {
  const sql = "SELECT visible FROM messages WHERE queue = ? AND visible > ? ORDER BY visible LIMIT 1";
  const row = store.get(sql, queueId, now);
  return row && numberOf(row, "visible");
}

/** Forgets deduplication ids and messages that are past their time, inside a transaction. */
export function tidy(store: Store, queues: readonly Queue[], now: number): void {
  store.change("DELETE FROM dedups WHERE sent <= ?", now - DEDUPLICATION_MS);
  for (const queue of queues) {
    const kept = now - 1000 * numberAttribute(queue, "MessageRetentionPeriod");
    store.change("DELETE FROM messages WHERE queue = ? AND sent <= ?", queue.id, kept);
  }
}
