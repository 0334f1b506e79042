import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type Part,
  type PutObjectCommandInput,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import { MIB, outcomes, type TestBucket } from "./bucket.ts";

export function multipartUploads({ s3, Bucket, deviates, put, get, read }: TestBucket): void {
  describe("multipart uploads", () => {
    async function begin(Key: string): Promise<string> {
      const { UploadId } = await s3.send(
        new CreateMultipartUploadCommand({ Bucket, Key, ContentType: "text/x" }),
      );
      return UploadId ?? "";
    }

    async function uploadPart(Key: string, UploadId: string, PartNumber: number, Body: Uint8Array) {
      const { ETag = "" } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
      return { PartNumber, ETag };
    }

    type Parts = readonly { readonly PartNumber: number; readonly ETag: string }[];

    function complete(
      Key: string,
      UploadId: string,
      parts: Parts,
      condition: Pick<PutObjectCommandInput, "IfMatch" | "IfNoneMatch"> = {},
    ) {
      const MultipartUpload = { Parts: [...parts] };
      return s3.send(
        new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload, ...condition }),
      );
    }

    test("the parts in order are the object, also for a range across them", async () => {
      const Key = "multipart/two";
      const [first, second] = [randomBytes(5 * MIB), randomBytes(MIB)];
      const id = await begin(Key);
      const parts = [await uploadPart(Key, id, 1, first), await uploadPart(Key, id, 2, second)];
      await refusal(get({ Key }));
      const { ETag } = await complete(Key, id, parts);
      assert.match(ETag ?? "", /^"[0-9a-f]{32}-2"$/);
      const whole = Buffer.concat([first, second]);
      const got = await get({ Key });
      assert.equal(got.ContentType, "text/x");
      assert.ok(whole.equals(got.bytes));
      const [from, to] = [5 * MIB - 3, 5 * MIB + 4];
      assert.deepEqual(await read({ Key, Range: `bytes=${from}-${to}` }), whole.subarray(from, to + 1));
    });

    test("a part uploaded again counts once", async () => {
      const Key = "multipart/again";
      const id = await begin(Key);
      await uploadPart(Key, id, 1, Buffer.from("old"));
      const part = await uploadPart(Key, id, 1, Buffer.from("new"));
      await complete(Key, id, [part]);
      assert.equal(String(await read({ Key })), "new");
    });

    test("a part that is not the last has 5 MiB or more", deviates("smallParts"), async () => {
      const Key = "multipart/small";
      const id = await begin(Key);
      const parts = [
        await uploadPart(Key, id, 1, Buffer.alloc(MIB)),
        await uploadPart(Key, id, 2, Buffer.alloc(1)),
      ];
      assert.deepEqual(await refusal(complete(Key, id, parts)), { name: "EntityTooSmall", status: 400 });
    });

    test("parts that were not uploaded are refused", async () => {
      const Key = "multipart/foreign";
      const id = await begin(Key);
      const part = await uploadPart(Key, id, 1, Buffer.alloc(1));
      const foreign = { PartNumber: 1, ETag: `"${"0".repeat(32)}"` };
      assert.deepEqual(await refusal(complete(Key, id, [foreign])), { name: "InvalidPart", status: 400 });
      await complete(Key, id, [part]);
    });

    test("parts out of order are refused", deviates("partOrder"), async () => {
      const Key = "multipart/wrong";
      const id = await begin(Key);
      const part = await uploadPart(Key, id, 1, Buffer.alloc(5 * MIB));
      const last = await uploadPart(Key, id, 2, Buffer.alloc(5 * MIB));
      assert.deepEqual(await refusal(complete(Key, id, [last, part])), {
        name: "InvalidPartOrder",
        status: 400,
      });
      await complete(Key, id, [part, last]);
    });

    test("of 20 writers that create one object, in parts or in one, exactly one wins", async () => {
      const Key = "multipart/race";
      const uploads = await Promise.all(
        Array.from({ length: 10 }, async (_, i) => {
          const id = await begin(Key);
          return { id, part: await uploadPart(Key, id, 1, Buffer.from(`parts ${i}`)) };
        }),
      );
      const calls = [
        ...uploads.map(({ id, part }) => complete(Key, id, [part], { IfNoneMatch: "*" })),
        ...uploads.map((_, i) => put({ Key, Body: `whole ${i}`, IfNoneMatch: "*" })),
      ];
      const { won, lost } = await outcomes(calls);
      assert.equal(won.length, 1);
      assert.ok(lost.every((status) => status === 412 || status === 409));
      const winner = won[0] ?? -1;
      assert.equal(String(await read({ Key })), winner < 10 ? `parts ${winner}` : `whole ${winner - 10}`);
    });

    test("an upload that lost can be completed no more once it is aborted, and the object stays", async () => {
      const Key = "multipart/lost";
      const id = await begin(Key);
      const part = await uploadPart(Key, id, 1, Buffer.from("late"));
      await put({ Key, Body: "first", IfNoneMatch: "*" });
      const late = await refusal(complete(Key, id, [part], { IfNoneMatch: "*" }));
      assert.deepEqual(late, { name: "PreconditionFailed", status: 412 });
      await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: id }));
      assert.equal(String(await read({ Key })), "first");
    });

    test("If-Match replaces only that version", async () => {
      const Key = "multipart/if-match";
      const { ETag } = await put({ Key, Body: "old" });
      assert.ok(ETag);
      const id = await begin(Key);
      const part = await uploadPart(Key, id, 1, Buffer.from("new"));
      const other = await refusal(complete(Key, id, [part], { IfMatch: '"0123"' }));
      assert.deepEqual(other, { name: "PreconditionFailed", status: 412 });
      await complete(Key, id, [part], { IfMatch: ETag });
      assert.equal(String(await read({ Key })), "new");
    });

    test("an aborted upload is gone, an unfinished one is listed", async () => {
      const Key = "multipart/aborted";
      const UploadId = await begin(Key);
      const part = await uploadPart(Key, UploadId, 1, Buffer.from("x"));
      const listed = async () => {
        const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
        return (Uploads ?? []).map((upload) => upload.UploadId);
      };
      assert.deepEqual(await listed(), [UploadId]);
      await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
      assert.deepEqual(await listed(), []);
      assert.deepEqual(await refusal(complete(Key, UploadId, [part])), { name: "NoSuchUpload", status: 404 });
      assert.equal((await refusal(get({ Key }))).status, 404);
    });

    test("the parts of an unfinished upload are listed with size and checksum, page after page", async () => {
      const Key = "multipart/parts";
      const UploadId = await begin(Key);
      const bodies = [randomBytes(5 * MIB), randomBytes(5 * MIB), randomBytes(9)];
      // Out of order, as an upload with several parts in flight sends them.
      for (const number of [3, 1, 2])
        await uploadPart(Key, UploadId, number, bodies[number - 1] ?? Buffer.of());
      const listed: Part[] = [];
      for (let marker: string | undefined; ; ) {
        const command = { Bucket, Key, UploadId, MaxParts: 2, PartNumberMarker: marker };
        const page = await s3.send(new ListPartsCommand(command));
        listed.push(...(page.Parts ?? []));
        if (!page.IsTruncated) break;
        marker = page.NextPartNumberMarker;
      }
      const told = listed.map(({ PartNumber, Size }) => [PartNumber, Size]);
      assert.deepEqual(
        told,
        bodies.map((body, i) => [i + 1, body.length]),
      );
      for (const [i, { ETag, ChecksumCRC32 }] of listed.entries())
        assertTells(bodies[i], ETag, ChecksumCRC32);
    });

    test("an upload can be taken up by someone who knows no more than its key", async () => {
      const Key = "multipart/resumed";
      const [first, second] = [randomBytes(5 * MIB), randomBytes(100)];
      await uploadPart(Key, await begin(Key), 1, first);
      const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }));
      const { UploadId = "", Key: found } = Uploads?.[0] ?? {};
      assert.equal(found, Key);
      const { Parts } = await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
      const kept = { PartNumber: 1, ETag: Parts?.[0]?.ETag ?? "" };
      await complete(Key, UploadId, [kept, await uploadPart(Key, UploadId, 2, second)]);
      assert.ok(Buffer.concat([first, second]).equals(await read({ Key })));
    });

    test("an upload that was completed, aborted or never there has no parts", async () => {
      const Key = "multipart/none";
      const completed = await begin(Key);
      await complete(Key, completed, [await uploadPart(Key, completed, 1, Buffer.from("x"))]);
      const aborted = await begin(Key);
      await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: aborted }));
      for (const UploadId of [completed, aborted, "never"]) {
        const parts = s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
        assert.deepEqual(await refusal(parts), { name: "NoSuchUpload", status: 404 });
        const part = s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: "x" }));
        assert.deepEqual(await refusal(part), { name: "NoSuchUpload", status: 404 });
      }
    });

    test("a part that is not what its checksum says is refused", async () => {
      const Key = "multipart/checksum";
      const UploadId = await begin(Key);
      const wrong = { Bucket, Key, UploadId, PartNumber: 1, Body: "x", ChecksumCRC32: "AAAAAA==" };
      assert.equal((await refusal(s3.send(new UploadPartCommand(wrong)))).status, 400);
      const { Parts } = await s3.send(new ListPartsCommand({ Bucket, Key, UploadId }));
      assert.deepEqual(Parts ?? [], []);
    });
  });
}

/** A listed part says what is in it: by its CRC32, or by its MD5 where the ETag is that. */
function assertTells(
  body: Uint8Array | undefined,
  etag: string | undefined,
  checksum: string | undefined,
): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body ?? ""));
  if (checksum !== undefined) assert.equal(checksum, bytes.toString("base64"));
  else
    assert.equal(
      etag,
      `"${createHash("md5")
        .update(body ?? "")
        .digest("hex")}"`,
    );
}
