import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { startEmulator } from "../../local/emulator/server.ts";
import { clientsOf, refusal, temporaryFolder, until } from "./support.ts";

const folder = temporaryFolder();
const emulator = await startEmulator({ dataDir: folder.path, idleSeconds: 600 });
const { s3 } = clientsOf(emulator.endpoint);
const Bucket = "bodies";
await s3.send(new CreateBucketCommand({ Bucket }));
after(() => {
  emulator.close();
  folder[Symbol.dispose]();
});

const files = () => readdirSync(join(folder.path, "bodies")).length;

test("a read that has begun gives the old bytes, though the object is overwritten and removed meanwhile", async () => {
  // More than the sockets' buffers take, so that the read is still going on.
  const old = randomBytes(32 * 1024 * 1024);
  const Key = "read";
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: old }));
  const reading = await s3.send(new GetObjectCommand({ Bucket, Key }));
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(100_000) }));
  await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await until("only the bytes being read are left", () => files() === 1);
  assert.ok(old.equals((await reading.Body?.transformToByteArray()) ?? Buffer.of()));
  await until("the old bytes are removed", () => files() === 0);
});

test("a read that is given up does not keep the bytes", async () => {
  const Key = "given up";
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(32 * 1024 * 1024) }));
  const leaving = new AbortController();
  const reading = await s3.send(new GetObjectCommand({ Bucket, Key }), { abortSignal: leaving.signal });
  await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  leaving.abort();
  await assert.rejects(async () => reading.Body?.transformToByteArray());
  await until("the bytes are removed", () => files() === 0);
});

test("writes that lose leave no file, and an object keeps only the parts it is made of", async () => {
  const Body = randomBytes(100_000);
  await s3.send(new PutObjectCommand({ Bucket, Key: "once", Body }));
  const again = s3.send(new PutObjectCommand({ Bucket, Key: "once", Body, IfNoneMatch: "*" }));
  assert.equal((await refusal(again)).status, 412);
  await until("the loser's body is removed", () => files() === 1);

  const Key = "parts";
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const upload = (PartNumber: number) =>
    s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
  const [{ ETag }] = await Promise.all([upload(1), upload(2)]);
  assert.equal(files(), 3);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }));
  await until("the part that was not named is removed", () => files() === 2);
});

for (const [what, damage, says] of [
  ["missing", (path: string) => rmSync(path), /is missing/],
  ["shortened", (path: string) => truncateSync(path, 1000), /has 1000 of 100000 bytes/],
] as const) {
  test(`a read of a body whose file is ${what} is refused at once, with the key and the file`, async () => {
    const Key = `jobs/${what}/shard-0`;
    const before = new Set(readdirSync(join(folder.path, "bodies")));
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(100_000) }));
    const [file = assert.fail()] = readdirSync(join(folder.path, "bodies")).filter(
      (name) => !before.has(name),
    );
    damage(join(folder.path, "bodies", file));
    for (const Range of ["bytes=0-9", "bytes=5000-99999", undefined]) {
      const get = () => s3.send(new GetObjectCommand({ Bucket, Key, ...(Range !== undefined && { Range }) }));
      assert.deepEqual(await refusal(get()), { name: "CorruptObject", status: 422 });
      await assert.rejects(
        get(),
        ({ message }: Error) => message.includes(Key) && message.includes(file) && says.test(message),
      );
    }
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  });
}
