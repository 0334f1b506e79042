import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeleteObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { TestBucket } from "./bucket.ts";

export function listings({ s3, Bucket, deviates, put, keys }: TestBucket): void {
  describe("listings", () => {
    // In UTF-16 order, as JavaScript sorts, the last two would change places.
    const inOrder = ["l/", "l/a b+c&<d>", "l/a/1", "l/a/2", "l/b", "l/é", "l/｡", "l/😀"];

    test("keys come in the order of their UTF-8 bytes, on every page once", async () => {
      for (const Key of inOrder.toReversed()) await put({ Key, Body: "x" });
      assert.deepEqual(await keys({ Prefix: "l/" }), inOrder);
      for (const MaxKeys of [1, 2, 3]) assert.deepEqual(await keys({ Prefix: "l/", MaxKeys }), inOrder);
    });

    test("keys are whole in url-encoded pages too", deviates("urlEncodedPages"), async () => {
      for (const MaxKeys of [2, 100])
        assert.deepEqual(await keys({ Prefix: "l/", MaxKeys, EncodingType: "url" }), inOrder);
    });

    test("a delimiter folds what is below it, also across pages", async () => {
      for (const t of [1, 2, 3])
        for (const s of [0, 1, 2]) await put({ Key: `d/${t}/shard-${s}`, Body: "x" });
      await put({ Key: "d/file", Body: "x" });
      const folded = ["d/1/", "d/2/", "d/3/", "d/file"];
      assert.deepEqual((await keys({ Prefix: "d/", Delimiter: "/" })).toSorted(), folded);
      for (const MaxKeys of [1, 2, 3])
        assert.deepEqual((await keys({ Prefix: "d/", Delimiter: "/", MaxKeys })).toSorted(), folded);
      assert.deepEqual(await keys({ Prefix: "d/2/", Delimiter: "/" }), [
        "d/2/shard-0",
        "d/2/shard-1",
        "d/2/shard-2",
      ]);
    });

    test("start-after begins behind a key", async () => {
      for (const t of ["08", "09", "10"]) await put({ Key: `s/${t}`, Body: "x" });
      assert.deepEqual(await keys({ Prefix: "s/", StartAfter: "s/08" }), ["s/09", "s/10"]);
      assert.deepEqual(await keys({ Prefix: "s/", StartAfter: "s/085", MaxKeys: 1 }), ["s/09", "s/10"]);
    });

    test("a listing has sizes and ETags", async () => {
      const { ETag } = await put({ Key: "sizes/one", Body: "12345" });
      const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "sizes/" }));
      assert.deepEqual(
        Contents?.map((object) => [object.Key, object.Size, object.ETag]),
        [["sizes/one", 5, ETag]],
      );
    });

    test("an object is listed as soon as its PUT is answered, and not after its DELETE", async () => {
      for (let i = 0; i < 20; i++) {
        const Key = `fresh/${i}`;
        await put({ Key, Body: "x" });
        assert.ok((await keys({ Prefix: "fresh/" })).includes(Key));
      }
      await s3.send(new DeleteObjectCommand({ Bucket, Key: "fresh/7" }));
      assert.ok(!(await keys({ Prefix: "fresh/" })).includes("fresh/7"));
    });
  });
}
