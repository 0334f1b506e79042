import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { findEmulator } from "../../local/emulator/address.ts";
import { clientsOf, EMULATOR, temporaryFolder, testData, until } from "./support.ts";

/** What was answered is on the disk: a file's bytes, its name in the folder, and then the row that names it. */

const LARGE = Buffer.alloc(100_000);
const Bucket = "synced";
const folder = temporaryFolder();
const syncs = join(folder.path, "syncs");
let clients: ReturnType<typeof clientsOf>;
let stop: () => Promise<unknown>;

before(async () => {
  writeFileSync(syncs, "");
  const dataDir = testData(join(folder.path, "data"));
  const env = { ...process.env, PS_DATA_DIR: dataDir, PS_IDLE_SECONDS: "600", PS_SYNCS: syncs };
  const preload = new URL("./record-syncs.ts", import.meta.url).href;
  const emulator = spawn(process.execPath, ["--import", preload, EMULATOR], { env, stdio: "ignore" });
  const exit = once(emulator, "exit");
  stop = () => {
    emulator.kill("SIGTERM");
    return exit;
  };
  const { endpoint } = await until("the emulator answers", () => findEmulator(dataDir));
  clients = clientsOf(endpoint);
  await clients.s3.send(new CreateBucketCommand({ Bucket }));
});
after(async () => {
  await stop();
  folder[Symbol.dispose]();
});

/** What was synced and committed by the time that a request was answered. */
async function during<T>(request: Promise<T>): Promise<{ answer: T; synced: string[] }> {
  const answer = await request;
  const synced = readFileSync(syncs, "utf8").split("\n").filter(Boolean);
  writeFileSync(syncs, "");
  return { answer, synced };
}

const FILE_AND_ROW = ["file", "folder", "commit at FULL"];
const ROW = ["commit at FULL"];

test("the bytes of an object, its file's name and its row are synced in this order, before the answer", async () => {
  const { s3 } = clients;
  await during(Promise.resolve());
  const large = new PutObjectCommand({ Bucket, Key: "large", Body: LARGE });
  assert.deepEqual((await during(s3.send(large))).synced, FILE_AND_ROW);
  const small = new PutObjectCommand({ Bucket, Key: "small", Body: "small" });
  assert.deepEqual((await during(s3.send(small))).synced, ROW);
  const removal = new DeleteObjectCommand({ Bucket, Key: "small" });
  assert.deepEqual((await during(s3.send(removal))).synced, ROW);
});

test("so are those of a part of an upload, and its end", async () => {
  const { s3 } = clients;
  const target = { Bucket, Key: "parts" };
  const begun = await during(s3.send(new CreateMultipartUploadCommand(target)));
  assert.deepEqual(begun.synced, ROW);
  const upload = { ...target, UploadId: begun.answer.UploadId };
  const sent = await during(s3.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: LARGE })));
  assert.deepEqual(sent.synced, FILE_AND_ROW);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag: sent.answer.ETag }] };
  const ended = await during(s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload })));
  assert.deepEqual(ended.synced, ROW);
});

test("a message that was sent is on the disk, and so is its deletion, also after a receive, which need not be", async () => {
  const { sqs } = clients;
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "synced" }));
  await during(Promise.resolve());
  const send = () => sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "x" }));
  assert.deepEqual((await during(send())).synced, ROW);
  const received = await during(sqs.send(new ReceiveMessageCommand({ QueueUrl })));
  assert.deepEqual(received.synced, ["commit at NORMAL"]);
  const ReceiptHandle = received.answer.Messages?.[0]?.ReceiptHandle;
  const removed = await during(sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })));
  assert.deepEqual(removed.synced, ROW);
  assert.deepEqual((await during(send())).synced, ROW);
});
