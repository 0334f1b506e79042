import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { describe, test } from "node:test";
import { DeleteObjectCommand } from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import { outcomes, type TestBucket } from "./bucket.ts";

export function conditionalWrites({ s3, Bucket, put, get, read }: TestBucket): void {
  describe("conditional writes", () => {
    test("of 20 writers that create one object exactly one wins, and its bytes stay", async () => {
      for (const size of [10, 100_000]) {
        const Key = `race/create-${size}`;
        const bodyOf = (i: number) => Buffer.alloc(size, i);
        const writers = Array.from({ length: 20 }, (_, i) => put({ Key, Body: bodyOf(i), IfNoneMatch: "*" }));
        const { won, lost } = await outcomes(writers);
        assert.equal(won.length, 1);
        // AWS answers 409 to some writers that meet another one on its way.
        assert.ok(lost.every((status) => status === 412 || status === 409));
        assert.deepEqual(await read({ Key }), bodyOf(won[0] ?? -1));
      }
    });

    test("of 20 writers that replace one version exactly one wins", async () => {
      const Key = "race/swap";
      const { ETag } = await put({ Key, Body: "first" });
      assert.ok(ETag);
      const writers = Array.from({ length: 20 }, (_, i) => put({ Key, Body: `second ${i}`, IfMatch: ETag }));
      const { won, lost } = await outcomes(writers);
      assert.equal(won.length, 1);
      assert.ok(lost.every((status) => status === 412 || status === 409));
      assert.equal(String(await read({ Key })), `second ${won[0]}`);
    });

    test("If-Match on a missing key is 404, on another version 412", async () => {
      const missing = await refusal(put({ Key: "cas/missing", Body: "x", IfMatch: '"0123"' }));
      assert.deepEqual(missing, { name: "NoSuchKey", status: 404 });
      await put({ Key: "cas/there", Body: "x" });
      const other = await refusal(put({ Key: "cas/there", Body: "y", IfMatch: '"0123"' }));
      assert.deepEqual(other, { name: "PreconditionFailed", status: 412 });
      assert.equal(String(await read({ Key: "cas/there" })), "x");
    });

    test("counting up by compare-and-swap loses nothing, however many do it at once", async () => {
      const Key = "cas/counter";
      await put({ Key, Body: "0" });
      const countUp = async () => {
        for (let done = 0; done < 3; ) {
          const { bytes, ETag } = await get({ Key });
          const swap = put({ Key, Body: String(Number(String(bytes)) + 1), IfMatch: ETag });
          const { won, lost } = await outcomes([swap]);
          assert.ok(lost.every((status) => status === 412 || status === 409));
          done += won.length;
        }
      };
      await Promise.all(Array.from({ length: 5 }, countUp));
      assert.equal(String(await read({ Key })), "15");
    });

    test("a removed object can be created again", async () => {
      const Key = "cas/again";
      await put({ Key, Body: "1", IfNoneMatch: "*" });
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
      await put({ Key, Body: "2", IfNoneMatch: "*" });
      assert.equal(String(await read({ Key })), "2");
    });

    test("ETags are the quoted MD5 of the body, and can be carried from read to write", async () => {
      const Key = "cas/etag";
      const { ETag } = await put({ Key, Body: "x" });
      assert.equal(ETag, `"${createHash("md5").update("x").digest("hex")}"`);
      const seen = await get({ Key });
      assert.equal(seen.ETag, ETag);
      await put({ Key, Body: "y", ...(seen.ETag ? { IfMatch: seen.ETag } : {}) });
    });
  });
}

export function integrity({ put, get, read, keys }: TestBucket): void {
  describe("integrity", () => {
    test("a body that is not what its checksum says is refused and not stored", async () => {
      const crc = refusal(put({ Key: "integrity/crc", Body: "x", ChecksumCRC32: "AAAAAA==" }));
      assert.equal((await crc).status, 400);
      const ContentMD5 = createHash("md5").update("y").digest("base64");
      assert.deepEqual(await refusal(put({ Key: "integrity/md5", Body: "x", ContentMD5 })), {
        name: "BadDigest",
        status: 400,
      });
      assert.deepEqual(await keys({ Prefix: "integrity/" }), []);
    });

    test("a streamed body, whose checksum follows it, is stored", async () => {
      const body = randomBytes(300_000);
      const chunks = Array.from({ length: 30 }, (_, i) => body.subarray(i * 10_000, (i + 1) * 10_000));
      await put({ Key: "integrity/stream", Body: Readable.from(chunks), ContentLength: body.length });
      assert.ok(body.equals(await read({ Key: "integrity/stream" })));
      assert.equal((await get({ Key: "integrity/stream" })).ContentEncoding ?? "", "");
    });
  });
}
