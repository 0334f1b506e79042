import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { after, describe, test } from "node:test";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { refusal } from "../local/support.ts";
import { openEndpoint, uniqueName } from "./endpoint.ts";

const MIB = 1024 * 1024;
const { s3, close, skip } = await openEndpoint();
const Bucket = uniqueName("bucket");
await s3.send(new CreateBucketCommand({ Bucket }));
after(async () => {
  for (const Key of await keys({ EncodingType: "url" }))
    await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await close();
});

type Put = Omit<PutObjectCommandInput, "Bucket">;

function put(input: Put) {
  return s3.send(new PutObjectCommand({ Bucket, ...input }));
}

/** What a GET answers, with its body read: one left unread would keep its connection. */
async function get(input: Omit<GetObjectCommandInput, "Bucket">) {
  const { Body, ...answer } = await s3.send(new GetObjectCommand({ Bucket, ...input }));
  return { ...answer, bytes: Buffer.from((await Body?.transformToByteArray()) ?? []) };
}

async function read(input: Omit<GetObjectCommandInput, "Bucket">): Promise<Buffer> {
  return (await get(input)).bytes;
}

/** Every listed key and common prefix, page after page, decoded. */
async function keys(input: Omit<ListObjectsV2CommandInput, "Bucket">): Promise<string[]> {
  const found: string[] = [];
  for (let ContinuationToken: string | undefined; ; ) {
    const token = ContinuationToken === undefined ? {} : { ContinuationToken };
    const page = await s3.send(new ListObjectsV2Command({ Bucket, ...input, ...token }));
    const names = [
      ...(page.Contents ?? []).map((o) => o.Key),
      ...(page.CommonPrefixes ?? []).map((p) => p.Prefix),
    ];
    assert.equal(page.KeyCount, names.length);
    if (input.MaxKeys) assert.ok(names.length <= input.MaxKeys);
    const decode = (name = "") => (input.EncodingType ? decodeURIComponent(name.replaceAll("+", " ")) : name);
    found.push(...names.map(decode));
    assert.equal(page.IsTruncated ?? false, page.NextContinuationToken !== undefined);
    if (!page.NextContinuationToken) return found;
    ContinuationToken = page.NextContinuationToken;
  }
}

async function outcomes(calls: readonly Promise<unknown>[]): Promise<{ won: number[]; lost: number[] }> {
  const won: number[] = [];
  const lost: number[] = [];
  const note = (call: Promise<unknown>, i: number) =>
    call.then(
      () => won.push(i),
      async () => lost.push((await refusal(call)).status),
    );
  await Promise.all(calls.map(note));
  return { won, lost };
}

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
});

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
    condition: Pick<Put, "IfMatch" | "IfNoneMatch"> = {},
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

  test("a part that is not the last has 5 MiB or more", async () => {
    const Key = "multipart/small";
    const id = await begin(Key);
    const parts = [
      await uploadPart(Key, id, 1, Buffer.alloc(MIB)),
      await uploadPart(Key, id, 2, Buffer.alloc(1)),
    ];
    assert.deepEqual(await refusal(complete(Key, id, parts)), { name: "EntityTooSmall", status: 400 });
  });

  test("parts that were not uploaded, and parts out of order, are refused", async () => {
    const Key = "multipart/wrong";
    const id = await begin(Key);
    const part = await uploadPart(Key, id, 1, Buffer.alloc(5 * MIB));
    const last = await uploadPart(Key, id, 2, Buffer.alloc(5 * MIB));
    const foreign = { PartNumber: 1, ETag: `"${"0".repeat(32)}"` };
    assert.deepEqual(await refusal(complete(Key, id, [foreign])), { name: "InvalidPart", status: 400 });
    assert.deepEqual(await refusal(complete(Key, id, [last, part])), {
      name: "InvalidPartOrder",
      status: 400,
    });
    await complete(Key, id, [part, last]);
  });

  test("of two uploads that create one object one wins, the other gets 412", async () => {
    const Key = "multipart/race";
    const uploads = await Promise.all(["a", "b"].map(async (text) => ({ text, id: await begin(Key) })));
    const calls = uploads.map(async ({ text, id }) => {
      const part = await uploadPart(Key, id, 1, Buffer.from(text));
      return complete(Key, id, [part], { IfNoneMatch: "*" });
    });
    const { won, lost } = await outcomes(calls);
    assert.equal(won.length, 1);
    assert.ok(lost.every((status) => status === 412 || status === 409));
    assert.equal(String(await read({ Key })), uploads[won[0] ?? -1]?.text);
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
});

describe("listings", () => {
  // In UTF-16 order, as JavaScript sorts, the last two would change places.
  const inOrder = ["l/", "l/a b+c&<d>", "l/a/1", "l/a/2", "l/b", "l/é", "l/｡", "l/😀"];

  test("keys come in the order of their UTF-8 bytes, on every page once", async () => {
    for (const Key of inOrder.toReversed()) await put({ Key, Body: "x" });
    assert.deepEqual(await keys({ Prefix: "l/" }), inOrder);
    for (const MaxKeys of [1, 2, 3]) assert.deepEqual(await keys({ Prefix: "l/", MaxKeys }), inOrder);
  });

  test("keys are whole in url-encoded pages too", { skip: skip("urlEncodedPages") }, async () => {
    for (const MaxKeys of [2, 100])
      assert.deepEqual(await keys({ Prefix: "l/", MaxKeys, EncodingType: "url" }), inOrder);
  });

  test("a delimiter folds what is below it, also across pages", async () => {
    for (const t of [1, 2, 3]) for (const s of [0, 1, 2]) await put({ Key: `d/${t}/shard-${s}`, Body: "x" });
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
