import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { findEmulator } from "../../local/emulator/address.ts";
import { startEmulator } from "../../local/emulator/server.ts";
import { head } from "./sign.ts";
import { clientsOf, EMULATOR, hasEnded, pidOf, refusal, temporaryFolder, until } from "./support.ts";

const MIB = 1024 * 1024;
const Bucket = "full";
const FULL = { name: "InsufficientStorage", status: 507 };

test("a body that would leave too little free is refused with the folder's name, a small one is not", async (t) => {
  using folder = temporaryFolder();
  let free = 100 * MIB;
  const emulator = await startEmulator({
    dataDir: folder.path,
    idleSeconds: 600,
    freeBytes: async () => free,
  });
  t.after(() => emulator.close());
  const { s3, sqs } = clientsOf(emulator.endpoint);
  const put = (Key: string, size: number) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(size) }));
  await s3.send(new CreateBucketCommand({ Bucket }));
  await put("fits", MIB);
  free = 32 * MIB + 1000;
  assert.deepEqual(await refusal(put("big", MIB)), FULL);
  await assert.rejects(put("big", MIB), (error) => String(error).includes(`No room left in ${folder.path}`));
  await put("small", 64 * 1024);

  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "parts" }));
  const part = { Bucket, Key: "parts", UploadId, PartNumber: 1, Body: Buffer.alloc(MIB) };
  assert.deepEqual(await refusal(s3.send(new UploadPartCommand(part))), FULL);

  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "full" }));
  const send = (size: number) =>
    sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "x".repeat(size) }));
  assert.deepEqual(await refusal(send(MIB)), FULL);
  await send(1000);

  assert.equal(readdirSync(join(folder.path, "bodies")).length, 1);
  free = 100 * MIB;
  await put("big", MIB);
});

test("space reserved for a body on its way is not given to another", async (t) => {
  using folder = temporaryFolder();
  const emulator = await startEmulator({
    dataDir: folder.path,
    idleSeconds: 600,
    freeBytes: async () => 48 * MIB,
  });
  t.after(() => emulator.close());
  const { s3 } = clientsOf(emulator.endpoint);
  const put = (Key: string) => s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(12 * MIB) }));
  const files = () => readdirSync(join(folder.path, "bodies")).length;
  await s3.send(new CreateBucketCommand({ Bucket }));
  const slow = connect(Number(new URL(emulator.endpoint).port), "127.0.0.1");
  slow.write(head("PUT", `/${Bucket}/slow`, { host: "localhost", "content-length": `${12 * MIB}` }));
  await until("the slow body is on its way", () => files() === 1);
  assert.deepEqual(await refusal(put("other")), FULL);
  slow.destroy();
  await until("the slow body is given up", () => files() === 0);
  await put("other");
});

/** An emulator none of whose files can grow over a size: a disk that is full for it, whatever it checked before. */
async function startLimited(dataDir: string, kibibytes: number): Promise<string> {
  const script = `ulimit -f ${kibibytes} && exec "$0" "$1"`;
  const env = { ...process.env, PS_DATA_DIR: dataDir, PS_IDLE_SECONDS: "60" };
  spawn("bash", ["-c", script, process.execPath, EMULATOR], { env, stdio: "ignore" });
  return (await until("the emulator answers", () => findEmulator(dataDir))).endpoint;
}

async function stop(endpoint: string): Promise<void> {
  const pid = await pidOf(endpoint);
  process.kill(pid, "SIGTERM");
  await until("the emulator ends", () => hasEnded(pid));
}

test("writes that fail for want of space are answered 507, leave nothing, and harm nothing stored before", async (t) => {
  using folder = temporaryFolder();
  const limited = await startLimited(folder.path, 4096);
  const { s3, sqs } = clientsOf(limited);
  await s3.send(new CreateBucketCommand({ Bucket }));
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "full" }));
  const put = (Key: string, size: number) =>
    s3.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.alloc(size, Key) }));
  assert.deepEqual(await refusal(put("big", 8 * MIB)), FULL);
  assert.deepEqual(readdirSync(join(folder.path, "bodies")), []);

  const stored: string[] = [];
  let refused: Awaited<ReturnType<typeof refusal>> | undefined;
  while (!refused && stored.length < 1000) {
    const Key = `small/${stored.length}`;
    const done = await Promise.allSettled([put(Key, 60_000)]);
    if (done[0].status === "fulfilled") stored.push(Key);
    else refused = await refusal(Promise.reject(done[0].reason));
  }
  assert.deepEqual(refused, FULL);
  assert.ok(stored.length > 10);
  const MessageBody = "x".repeat(60_000);
  assert.deepEqual(await refusal(sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }))), FULL);
  await s3.send(new GetObjectCommand({ Bucket, Key: "small/0" }));
  await stop(limited);

  const emulator = await startEmulator({ dataDir: folder.path, idleSeconds: 600 });
  t.after(() => emulator.close());
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  assert.deepEqual(
    Contents.map(({ Key }) => Key),
    stored.toSorted(),
  );
  for (const Key of stored) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
    assert.ok(Buffer.alloc(60_000, Key).equals((await Body?.transformToByteArray()) ?? Buffer.of()));
  }
  assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: "small/0" }));
});
