import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { ensureEmulator, openSession } from "../../local/emulator/client.ts";
import { startEmulator } from "../../local/emulator/server.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, temporaryFolder, until } from "./support.ts";

const TRIALS = 10;
const SIZES = [10, 5000, 200_000];
const Bucket = "kills";

/** A body that tells who wrote it, wherever one looks. */
function bodyOf(writer: string, size: number): Buffer {
  return Buffer.alloc(size, `${writer};`);
}

function writerOf(body: Buffer): string {
  return body.toString("latin1", 0, body.indexOf(";"));
}

/** What clients did to the emulator and were told of it, to be compared with what it has after its death. */
class Ledger {
  /** Create-only keys: who was told to have won. A key that is missing here may or may not exist. */
  readonly winners = new Map<string, string[]>();
  readonly created = new Set<string>();
  /** Overwritten keys: the last number that was acknowledged, and the last that was tried. */
  readonly counters = new Map<string, { acknowledged: number; tried: number }>();
  readonly removed = new Set<string>();
  readonly sent = new Set<string>();
  readonly trySend = new Set<string>();
  readonly deleted = new Set<string>();
  /** Messages whose deletion was asked for and not answered. */
  readonly tryDelete = new Set<string>();
}

type Clients = { readonly s3: S3Client; readonly sqs: SQSClient; readonly QueueUrl: string };

/** Three writers race for every key; some keys are removed again. */
async function createKeys({ s3 }: Clients, ledger: Ledger, prefix: string): Promise<void> {
  for (let i = 0; ; i++) {
    const Key = `${prefix}/create/${i}`;
    const size = SIZES[i % SIZES.length] ?? 0;
    ledger.created.add(Key);
    const race = ["a", "b", "c"].map(async (writer) => {
      const put = new PutObjectCommand({ Bucket, Key, Body: bodyOf(writer, size), IfNoneMatch: "*" });
      const won = await s3.send(put).then(() => true, rethrowUnless("PreconditionFailed"));
      if (won) ledger.winners.set(Key, [...(ledger.winners.get(Key) ?? []), writer]);
    });
    const failed = (await Promise.allSettled(race)).find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    if (i % 5 === 4) {
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
      ledger.removed.add(Key);
    }
  }
}

function rethrowUnless(name: string): (error: unknown) => false {
  return (error) => {
    if (error instanceof Error && error.name === name) return false;
    throw error;
  };
}

/** One key is written over and over. */
async function overwrite({ s3 }: Clients, ledger: Ledger, prefix: string): Promise<void> {
  const counter = { acknowledged: -1, tried: -1 };
  const Key = `${prefix}/counter`;
  ledger.counters.set(Key, counter);
  for (let i = 0; ; i++) {
    counter.tried = i;
    await s3.send(
      new PutObjectCommand({ Bucket, Key, Body: bodyOf(String(i), SIZES[i % SIZES.length] ?? 0) }),
    );
    counter.acknowledged = i;
  }
}

async function sendMessages({ sqs, QueueUrl }: Clients, ledger: Ledger, prefix: string): Promise<void> {
  for (let i = 0; ; i++) {
    const MessageBody = `${prefix}/${i}`;
    ledger.trySend.add(MessageBody);
    const fifo = { MessageGroupId: `${prefix}/${i % 3}`, MessageDeduplicationId: MessageBody };
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, ...fifo }));
    ledger.sent.add(MessageBody);
  }
}

async function consume({ sqs, QueueUrl }: Clients, ledger: Ledger): Promise<void> {
  for (;;) {
    const receive = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 3, WaitTimeSeconds: 20 });
    for (const { Body = "", ReceiptHandle = "" } of (await sqs.send(receive)).Messages ?? []) {
      ledger.tryDelete.add(Body);
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      ledger.deleted.add(Body);
    }
  }
}

async function readAll({ s3 }: Clients, prefix: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  for (const { Key = "", Size } of Contents) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    const body = Buffer.from((await Body?.transformToByteArray()) ?? []);
    assert.equal(body.length, Size);
    found.set(Key, body);
  }
  return found;
}

async function checkObjects(clients: Clients, ledger: Ledger, prefix: string): Promise<void> {
  const objects = await readAll(clients, prefix);
  for (const [Key, body] of objects) {
    assert.ok(bodyOf(writerOf(body), body.length).equals(body), `${Key} has one writer's bytes only`);
    assert.ok(SIZES.includes(body.length), `${Key} is whole`);
    assert.ok(!ledger.removed.has(Key), `${Key} stays removed`);
  }
  for (const Key of ledger.created) {
    const [winner, ...others] = ledger.winners.get(Key) ?? [];
    assert.deepEqual(others, [], `${Key} was won once`);
    const body = objects.get(Key);
    // The last key may have been removed without an answer.
    const last = Key === [...ledger.created].at(-1);
    if (winner && !ledger.removed.has(Key) && (body || !last))
      assert.equal(body && writerOf(body), winner, Key);
  }
  for (const [Key, { acknowledged, tried }] of ledger.counters) {
    const body = objects.get(Key);
    const value = body ? Number(writerOf(body)) : -1;
    assert.ok(value >= acknowledged && value <= tried, `${Key} is ${value}, of ${acknowledged} to ${tried}`);
  }
}

/** Takes all messages out, those in flight included: the clock that counts is past every visibility timeout. */
async function drain({ sqs, QueueUrl }: Clients): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }),
    );
    if (Messages.length === 0) return found;
    for (const { Body = "", ReceiptHandle } of Messages) {
      found.push(Body);
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  }
}

async function checkMessages(clients: Clients, ledger: Ledger): Promise<void> {
  const found = await drain(clients);
  assert.equal(new Set(found).size, found.length, "no message is there twice");
  for (const body of found) {
    assert.ok(ledger.trySend.has(body), `${body} was sent`);
    assert.ok(!ledger.deleted.has(body), `${body} stays deleted`);
  }
  const there = new Set(found);
  const lost = [...ledger.sent].filter((body) => !there.has(body) && !ledger.tryDelete.has(body));
  assert.deepEqual(lost, []);
}

test(`${TRIALS} kills under load lose nothing acknowledged and leave nothing half-written`, async (t) => {
  using folder = temporaryFolder();
  process.env.PS_IDLE_SECONDS = "30";
  let total = 0;
  for (let trial = 0; trial < TRIALS; trial++) {
    const emulator = await ensureEmulator(folder.path, EMULATOR);
    const { endpoint } = emulator;
    await openSession(emulator);
    const { s3, sqs } = clientsOf(endpoint);
    await s3.send(new CreateBucketCommand({ Bucket }));
    const queue = { QueueName: "kills.fifo", Attributes: { FifoQueue: "true", VisibilityTimeout: "600" } };
    const { QueueUrl = "" } = await sqs.send(new CreateQueueCommand(queue));
    const clients = { s3, sqs, QueueUrl };
    const ledger = new Ledger();
    const prefix = `t${trial}`;
    const load = [createKeys, overwrite, sendMessages, consume].map((run) => run(clients, ledger, prefix));
    const pid = await pidOf(endpoint);
    await until("the load runs", () => ledger.winners.size > 3 && ledger.deleted.size > 3);
    // The moment of the kill is what this test is about, so it is random and waits for nothing.
    await sleep(Math.random() * 300);
    process.kill(pid, "SIGKILL");
    assert.ok((await Promise.allSettled(load)).every(({ status }) => status === "rejected"));
    await until("the emulator is gone", () => hasEnded(pid));

    const later = () => Date.now() + 3_600_000;
    const survivor = await startEmulator({ dataDir: folder.path, idleSeconds: 600, now: later });
    t.after(() => survivor.close());
    assert.equal(survivor.endpoint, endpoint);
    await checkObjects(clients, ledger, prefix);
    await checkMessages(clients, ledger);
    total += ledger.winners.size + ledger.sent.size + ledger.deleted.size;
    const big = [...(await readAll(clients, "")).values()].filter((body) => body.length > 64 * 1024);
    assert.equal(readdirSync(join(folder.path, "bodies")).length, big.length, "no file is left over");
    survivor.close();
  }
  t.diagnostic(`${total} acknowledged writes checked`);
});
