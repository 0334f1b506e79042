import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, test } from "node:test";
import { ListMultipartUploadsCommand, UploadPartCommand } from "@aws-sdk/client-s3";
import { Store } from "../../cloud/store.ts";
import type { Source } from "../../cloud/upload.ts";
import { openBucket } from "../contract/bucket.ts";
import { openEmbedded } from "../contract/endpoint.ts";

const endpoint = await openEmbedded();
const { Bucket, s3, get } = await openBucket(endpoint);
const store = new Store(s3, Bucket);
after(() => endpoint.close());

const PART = 8 << 20;
const bytes = randomBytes(5 * PART + 1000);
const sha256 = createHash("sha256").update(bytes).digest("hex");

/** @param failAt no byte from here on can be read */
function sourceOf(content: Uint8Array, failAt = Number.POSITIVE_INFINITY): Source {
  return {
    name: "test bytes",
    size: content.length,
    async read(into, position) {
      if (position >= failAt) throw new Error("the disk is gone");
      into.set(content.subarray(position, position + into.length));
    },
  };
}

async function unfinished(Key: string): Promise<number> {
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
  return Uploads?.length ?? 0;
}

/** Uploads, and tells how many parts were sent and how many were there. */
async function upload(key: string, source: Source) {
  const told = { sent: 0, found: 0, bytes: 0 };
  const created = await store.createFrom(key, source, {
    sha256,
    onPart(part) {
      told[part.sent ? "sent" : "found"]++;
      told.bytes += part.bytes;
    },
  });
  return { created, ...told };
}

test("a large source comes as it is, and tells of each part", async () => {
  const told = await upload("whole", sourceOf(bytes));
  assert.deepEqual(told, { created: "created", sent: 6, found: 0, bytes: bytes.length });
  assert.ok(bytes.equals((await get({ Key: "whole" })).bytes));
  assert.equal(await unfinished("whole"), 0);
});

test("what a cut-short upload left is not sent again", async () => {
  await assert.rejects(upload("resumed", sourceOf(bytes, 3 * PART)), /the disk is gone/);
  assert.equal(await unfinished("resumed"), 1);
  const told = await upload("resumed", sourceOf(bytes));
  assert.deepEqual(told, { created: "created", sent: 3, found: 3, bytes: bytes.length });
  assert.ok(bytes.equals((await get({ Key: "resumed" })).bytes));
  assert.equal(await unfinished("resumed"), 0);
});

test("a part with other bytes is sent again, and of several uploads that were left none stays", async () => {
  const Key = "damaged";
  for (const parts of [1, 3]) {
    // Both are started before either is taken up, as by two submitters that died.
    await assert.rejects(upload(`${Key}-${parts}`, sourceOf(bytes, parts * PART)));
  }
  await assert.rejects(upload(Key, sourceOf(bytes, 2 * PART)));
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
  const UploadId = Uploads?.find((found) => found.Key === Key)?.UploadId;
  await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body: randomBytes(PART) }));
  const told = await upload(Key, sourceOf(bytes));
  assert.deepEqual([told.sent, told.found], [5, 1]);
  assert.ok(bytes.equals((await get({ Key })).bytes));
  // Uploads of other keys, which this one begins with or not, are none of its business.
  assert.equal(await unfinished(Key), 2);
});

test("two uploads of one object at once both end well, with one object and nothing left", async () => {
  const [one, two] = await Promise.all([upload("twice", sourceOf(bytes)), upload("twice", sourceOf(bytes))]);
  assert.deepEqual([one?.created, two?.created].toSorted(), ["created", "exists"]);
  assert.ok(bytes.equals((await get({ Key: "twice" })).bytes));
  assert.equal(await unfinished("twice"), 0);
});

test("a source that is not what its digest says becomes no object", async () => {
  for (const content of [randomBytes(2 * PART), Buffer.from("small")]) {
    await assert.rejects(upload("changed", sourceOf(content)), /test bytes was changed while it was read/);
    assert.equal(await store.get("changed"), null);
    assert.equal(await unfinished("changed"), 0);
  }
});

/** Comes in parts; fails after them when asked to. */
async function* streamOf(parts: readonly Uint8Array[], failure?: Error): AsyncGenerator<Uint8Array> {
  yield* parts;
  if (failure) throw failure;
}

test("a stream that breaks off leaves no object and no parts, and its own error is what is told", async () => {
  const stream = streamOf([bytes.subarray(0, PART)], new Error("the shard is gone"));
  await assert.rejects(store.createFromParts("broken", stream), /the shard is gone/);
  assert.equal(await store.get("broken"), null);
  assert.equal(await unfinished("broken"), 0);
});

test("of two streams to one key the first stands, and the second leaves nothing", async () => {
  const parts = [bytes.subarray(0, PART), bytes.subarray(PART, PART + 1000)];
  assert.equal(await store.createFromParts("streamed", streamOf(parts)), "created");
  assert.equal(await store.createFromParts("streamed", streamOf([new Uint8Array(10)])), "exists");
  assert.deepEqual((await store.get("streamed"))?.body, new Uint8Array(bytes.subarray(0, PART + 1000)));
  assert.equal(await unfinished("streamed"), 0);
});
