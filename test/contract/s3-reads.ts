import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { GetObjectCommand, HeadBucketCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import { MIB, type TestBucket } from "./bucket.ts";
import { uniqueName } from "./endpoint.ts";

export function reads({ s3, Bucket, put, get, read }: TestBucket): void {
  describe("reads", () => {
    test("a range gives those bytes and says where they are", async () => {
      for (const size of [1000, 3 * MIB]) {
        const body = randomBytes(size);
        const Key = `range/${size}`;
        await put({ Key, Body: body });
        const middle = await get({ Key, Range: "bytes=10-19" });
        assert.equal(middle.$metadata.httpStatusCode, 206);
        assert.equal(middle.ContentRange, `bytes 10-19/${size}`);
        assert.deepEqual(middle.bytes, body.subarray(10, 20));
        assert.deepEqual(await read({ Key, Range: "bytes=990-" }), body.subarray(990));
        assert.deepEqual(await read({ Key, Range: "bytes=-7" }), body.subarray(size - 7));
        assert.deepEqual(await read({ Key, Range: `bytes=0-${size * 2}` }), body);
        assert.deepEqual(await refusal(get({ Key, Range: `bytes=${size}-` })), {
          name: "InvalidRange",
          status: 416,
        });
      }
    });

    test("If-Match reads that version or answers 412", async () => {
      const Key = "reads/if-match";
      const { ETag } = await put({ Key, Body: "x" });
      assert.ok(ETag);
      assert.equal(String(await read({ Key, IfMatch: ETag })), "x");
      assert.deepEqual(await refusal(get({ Key, IfMatch: '"0123"' })), {
        name: "PreconditionFailed",
        status: 412,
      });
    });

    test("a missing key is 404 for GET and HEAD, and so is a missing bucket", async () => {
      assert.deepEqual(await refusal(get({ Key: "none" })), { name: "NoSuchKey", status: 404 });
      const head = s3.send(new HeadObjectCommand({ Bucket, Key: "none" }));
      assert.deepEqual(await refusal(head), { name: "NotFound", status: 404 });
      const bucket = s3.send(new HeadBucketCommand({ Bucket: uniqueName("none") }));
      assert.deepEqual(await refusal(bucket), { name: "NotFound", status: 404 });
      const inNone = s3.send(new GetObjectCommand({ Bucket: uniqueName("none"), Key: "k" }));
      assert.deepEqual(await refusal(inNone), { name: "NoSuchBucket", status: 404 });
    });

    test("HEAD tells size, type, metadata, ETag and time without the body", async () => {
      const Key = "reads/head";
      await put({ Key, Body: "12345", ContentType: "text/plain", Metadata: { digest: "abc", step: "7" } });
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
      assert.equal(head.ContentLength, 5);
      assert.equal(head.ContentType, "text/plain");
      assert.deepEqual(head.Metadata, { digest: "abc", step: "7" });
      assert.equal(head.ETag, `"${createHash("md5").update("12345").digest("hex")}"`);
      assert.ok(Math.abs(Number(head.LastModified) - Date.now()) < 60_000);
      assert.deepEqual((await get({ Key })).Metadata, { digest: "abc", step: "7" });
    });

    test("an empty body is an object too", async () => {
      await put({ Key: "reads/empty", Body: new Uint8Array() });
      assert.equal((await read({ Key: "reads/empty" })).length, 0);
    });

    test("a body of 40 MiB comes back as it was", async () => {
      const body = randomBytes(40 * MIB);
      await put({ Key: "reads/big", Body: body });
      assert.ok(body.equals(await read({ Key: "reads/big" })));
    });

    test("a read after a write sees it, also one of many that replace each other", async () => {
      const Key = "reads/fresh";
      for (let i = 0; i < 20; i++) {
        await put({ Key, Body: `version ${i}` });
        assert.equal(String(await read({ Key })), `version ${i}`);
        const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
        assert.equal(head.ContentLength, `version ${i}`.length);
      }
    });

    test("a ranged read of a version that was replaced is refused, not mixed", async () => {
      const Key = "reads/mixed";
      const { ETag = "" } = await put({ Key, Body: "old old old" });
      assert.equal(String(await read({ Key, Range: "bytes=0-2", IfMatch: ETag })), "old");
      await put({ Key, Body: "new new new" });
      const refused = await refusal(get({ Key, Range: "bytes=4-6", IfMatch: ETag }));
      assert.deepEqual(refused, { name: "PreconditionFailed", status: 412 });
    });
  });
}
