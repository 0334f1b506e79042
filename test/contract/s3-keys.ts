import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CreateBucketCommand, DeleteObjectCommand, DeleteObjectsCommand } from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import type { TestBucket } from "./bucket.ts";

export function keysAndRemoval({ s3, Bucket, deviates, put, read, keys }: TestBucket): void {
  describe("keys and removal", () => {
    const ODD_KEYS = [
      "a/../..",
      "../../etc/x",
      "/leading",
      "a//b",
      "./.",
      "100%",
      "a+b c",
      "é/😀",
      "?x=1#y",
      "k".repeat(1024),
    ];

    test("any key is just a name", async () => {
      for (const Key of ODD_KEYS) {
        await put({ Key, Body: Key });
        assert.equal(String(await read({ Key })), Key);
      }
      const listed = new Set(await keys({ EncodingType: "url" }));
      for (const Key of ODD_KEYS) assert.ok(listed.has(Key), Key);
    });

    test("a key of more than 1024 bytes is refused", deviates("longKeys"), async () => {
      assert.equal((await refusal(put({ Key: "k".repeat(1025), Body: "x" }))).status, 400);
    });

    test("removing many removes those and no other, and what is not there is no error", async () => {
      for (const Key of ["rm/1", "rm/2", "rm/<&>", "rm/stays"]) await put({ Key, Body: "x" });
      const Objects = ["rm/1", "rm/2", "rm/<&>", "rm/none"].map((Key) => ({ Key }));
      const { Errors } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      assert.deepEqual(Errors ?? [], []);
      assert.deepEqual(await keys({ Prefix: "rm/" }), ["rm/stays"]);
      await s3.send(new DeleteObjectCommand({ Bucket, Key: "rm/none" }));
    });

    test("creating a bucket that is there already harms nothing", async () => {
      await put({ Key: "bucket/stays", Body: "x" });
      await s3.send(new CreateBucketCommand({ Bucket }));
      assert.equal(String(await read({ Key: "bucket/stays" })), "x");
    });
  });
}
