import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from "@aws-sdk/client-s3";
import { CreateQueueCommand, SendMessageCommand, TagQueueCommand } from "@aws-sdk/client-sqs";
import { startEmulator } from "../../local/emulator/server.ts";
import { head, sign } from "./sign.ts";
import { clientsOf, refusal, temporaryFolder, until } from "./support.ts";

const folder = temporaryFolder();
const emulator = await startEmulator({ dataDir: folder.path, idleSeconds: 600 });
const { port } = new URL(emulator.endpoint);
const { s3, sqs } = clientsOf(emulator.endpoint);
const Bucket = "refusals";
await s3.send(new CreateBucketCommand({ Bucket }));
after(() => {
  emulator.close();
  folder[Symbol.dispose]();
});

type Answer = { readonly status: number; readonly body: string };

/** A request as no SDK would send it. */
function raw(method: string, path: string, headers: Record<string, string>, body = ""): Promise<Answer> {
  const { host = `127.0.0.1:${port}` } = headers;
  const signed = sign(method, path, { ...headers, host });
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method, path, headers: signed }, async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
    });
    sent.once("error", reject).end(body);
  });
}

async function keys(): Promise<string[]> {
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket }));
  return (Contents ?? []).map(({ Key = "" }) => Key);
}

async function messageOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "no error",
    (error: unknown) => String(error),
  );
}

test("operations the project does not call are answered 501 with their name", async () => {
  const calls = {
    GetObjectAcl: () => s3.send(new GetObjectAclCommand({ Bucket, Key: "k" })),
    PutObjectTagging: () =>
      s3.send(new PutObjectTaggingCommand({ Bucket, Key: "k", Tagging: { TagSet: [] } })),
    ListObjects: () => s3.send(new ListObjectsCommand({ Bucket })),
    "PutObject with x-amz-copy-source": () =>
      s3.send(new CopyObjectCommand({ Bucket, Key: "k", CopySource: "a/b" })),
    "GetObject with versionId": () => s3.send(new GetObjectCommand({ Bucket, Key: "k", VersionId: "1" })),
    "AmazonSQS.TagQueue": () =>
      sqs.send(new TagQueueCommand({ QueueUrl: `${emulator.endpoint}/0/q`, Tags: {} })),
  };
  for (const [name, call] of Object.entries(calls)) {
    assert.equal((await refusal(call())).status, 501, name);
    assert.match(await messageOf(call()), new RegExp(`does not implement ${name}$`));
  }
});

test("a parameter the emulator does not know is refused, not ignored", async () => {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "parameters" }));
  const MessageAttributes = { a: { DataType: "String", StringValue: "b" } };
  const call = sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "x", MessageAttributes }));
  assert.match(await messageOf(call), /does not implement SendMessage with MessageAttributes/);
  const put = s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "x", StorageClass: "GLACIER" }));
  assert.match(await messageOf(put), /does not implement PutObject with x-amz-storage-class/);
  assert.deepEqual(await keys(), []);
});

test("only requests to 127.0.0.1 or localhost are taken, and none from web pages", async () => {
  const path = `/${Bucket}/page`;
  const status = async (headers: Record<string, string>) =>
    (await raw("PUT", path, { "content-length": "0", ...headers })).status;
  assert.equal(await status({ host: "evil.example" }), 403);
  assert.equal(await status({ host: `127.0.0.1.evil.example:${port}` }), 403);
  assert.equal(await status({ origin: "https://evil.example" }), 403);
  assert.deepEqual(await keys(), []);
  assert.equal(await status({ host: `localhost:${port}` }), 200);
  await raw("DELETE", path, {});
});

test("a POST without the x-amz-target header is no SQS request", async () => {
  const body = "Action=SendMessage&MessageBody=x";
  const answer = await raw("POST", "/", { "content-type": "application/x-www-form-urlencoded" }, body);
  assert.equal(answer.status, 501);
});

test("a body whose sender dies on the way leaves nothing", async () => {
  const files = () => readdirSync(join(folder.path, "bodies")).length;
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(head("PUT", `/${Bucket}/dying`, { host: "localhost", "content-length": "1000000" }));
  socket.write("x".repeat(500_000));
  await until("the body begins to be stored", () => files() === 1);
  socket.resetAndDestroy();
  await until("what was stored is removed", () => files() === 0);
  assert.deepEqual(await keys(), []);
});

test("a chunked body that is damaged, or ends early, leaves nothing", async () => {
  const headers = {
    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "x-amz-decoded-content-length": "9",
  };
  const send = (body: string) => raw("PUT", `/${Bucket}/chunked`, headers, body);
  const body = (crc: string) => `4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32:${crc}\r\n\r\n`;
  for (const wrong of [body("AAAAAA=="), "4\r\n1234\r\n0\r\n\r\n", "zz\r\n", "9\r\n1234"]) {
    const { status, body } = await send(wrong);
    assert.equal(status, 400);
    assert.match(body, /BadDigest|IncompleteBody/);
  }
  assert.deepEqual(await keys(), []);
  // CRC32 of "123456789" is the published check value, cbf43926.
  assert.equal((await send(body("y/Q5Jg=="))).status, 200);
  assert.deepEqual(await keys(), ["chunked"]);
});
