import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { findObjects, s3Source } from "../../../cli/submission/s3-source.ts";
import type { Buckets } from "../../../cloud/buckets.ts";
import { Store } from "../../../cloud/store.ts";
import { ensureEmulator, openSession } from "../../../local/emulator/client.ts";
import type { PrepareOptions } from "../../../ml/data/prepare-options.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import { openBucket } from "../../contract/bucket.ts";
import { endpointAt } from "../../contract/endpoint.ts";
import { EMULATOR, temporaryFolder, testData } from "../../local/support.ts";
import { Playground } from "../command.ts";

// Someone else's S3: an emulator that no job runs on.
const folder = temporaryFolder();
const emulator = await ensureEmulator(testData(join(folder.path, "s3")), EMULATOR);
const { endpoint } = emulator;
const session = await openSession(emulator);
const { s3, Bucket, put } = await openBucket(endpointAt(endpoint, "embedded"));
const buckets: Buckets = { store: (bucket) => new Store(s3, bucket), close: () => {} };
const playground = new Playground({
  AWS_ENDPOINT_URL_S3: endpoint,
  AWS_ACCESS_KEY_ID: "theirs",
  AWS_SECRET_ACCESS_KEY: "theirs",
});
after(async () => {
  await playground.close();
  session.close();
  folder[Symbol.dispose]();
});

const local = join(folder.path, "files");
let caches = 0;

/** The same file on the disk and in the bucket. */
async function store(name: string, body: Uint8Array | string): Promise<void> {
  mkdirSync(dirname(join(local, name)), { recursive: true });
  writeFileSync(join(local, name), body);
  await put({ Key: name, Body: body });
}

/** @returns the dataset's digest and size, made anew unless a cache is given */
async function prepare(path: string, more: Partial<PrepareOptions> = {}) {
  const cache = join(folder.path, `cache-${caches++}`);
  const { digest, meta } = await prepareText({
    path,
    tokenizer: "byte",
    cache,
    stores: [s3Source(() => buckets)],
    ...more,
  });
  return { digest, tokens: meta.tokens };
}

const line = "The quick brown fox jumps over the lazy dög.\n";

test("an object of any kind gives the dataset that the same file gives", async () => {
  await store("kinds/text.txt", line.repeat(30_000));
  await store("kinds/lines.jsonl", `${JSON.stringify({ text: line })}\n`.repeat(9_000));
  await store(
    "kinds/rows.parquet",
    readFileSync(new URL("../../ml/data/parquet/zstd.parquet", import.meta.url)),
  );
  await store(
    "kinds/tokens.bin",
    new Uint8Array(Uint16Array.from({ length: 500_000 }, (_, i) => i % 250).buffer),
  );
  for (const name of ["text.txt", "lines.jsonl", "rows.parquet", "tokens.bin"]) {
    const here = await prepare(join(local, "kinds", name));
    assert.ok(here.tokens > 100, name);
    assert.deepEqual(await prepare(`s3://${Bucket}/kinds/${name}`), here, name);
  }
});

test("a prefix is all objects below it, by key, as a directory is", async () => {
  for (const name of ["b.txt", "a.jsonl", "deep/c.txt", ".hidden", "README.md"]) {
    await store(
      `corpus/${name}`,
      name.endsWith("jsonl") ? JSON.stringify({ text: "json" }) : `text of ${name}`,
    );
  }
  await put({ Key: "corpus/", Body: new Uint8Array() });
  await put({ Key: "corpus-of-others.txt", Body: "not mine" });
  const here = await prepare(join(local, "corpus"));
  for (const path of ["corpus", "corpus/"]) assert.deepEqual(await prepare(`s3://${Bucket}/${path}`), here);
});

test("an object that did not change is not read again, one that did is", async () => {
  const path = `s3://${Bucket}/again.txt`;
  const cache = join(folder.path, "again");
  let readings = 0;
  const onProgress = () => {
    readings++;
  };
  await put({ Key: "again.txt", Body: "first" });
  const first = await prepare(path, { cache, onProgress });
  assert.ok(readings > 0);
  readings = 0;
  assert.deepEqual(await prepare(path, { cache, onProgress }), first);
  assert.equal(readings, 0);
  await put({ Key: "again.txt", Body: "other" });
  assert.notEqual((await prepare(path, { cache, onProgress })).digest, first.digest);
});

test("reads give the object's bytes wherever they begin, in order or not, and none past its end", async () => {
  const bytes = randomBytes((9 << 20) + 17);
  await put({ Key: "bytes", Body: bytes });
  const [object] = await findObjects(`s3://${Bucket}/bytes`, buckets);
  assert.equal(object?.size, bytes.length);
  const access = object?.open();
  const check = async (from: number, length: number) => {
    const into = new Uint8Array(length);
    await access?.read(into, from);
    assert.ok(bytes.subarray(from, from + length).equals(into), `${length} bytes at ${from}`);
  };
  for (let at = 0; at + 300_000 <= bytes.length; at += 300_000) await check(at, 300_000);
  for (const [from, length] of [
    [bytes.length - 5, 5],
    [3, 0],
    [(4 << 20) - 2, 4],
    [7, 9 << 20],
  ] as const) {
    await check(from, length);
  }
  await assert.rejects(async () => access?.read(new Uint8Array(2), bytes.length - 1), /too early/);
});

test("an object that is replaced while it is read is refused, not mixed", async () => {
  await put({ Key: "replaced", Body: "one state of it" });
  const [object] = await findObjects(`s3://${Bucket}/replaced`, buckets);
  await put({ Key: "replaced", Body: "another  state " });
  const reading = object?.open().read(new Uint8Array(3), 0);
  await assert.rejects(async () => reading, /replaced was changed or removed while it was read; try again/);
});

test("what is not there is named", async () => {
  const refused = (path: string, message: RegExp) => assert.rejects(prepare(path), message);
  await refused(`s3://${Bucket}/none`, /none must name an object or have some below it, there is none$/);
  await refused(`s3://${Bucket}/kinds/*.txt`, /s3:\/\/ takes a key or a prefix, no glob/);
  await refused("s3://no-such-bucket-here/x", /there is no such bucket/);
  await refused("s3:///x", /must name a bucket/);
  await put({ Key: "empty.txt", Body: new Uint8Array() });
  await refused(`s3://${Bucket}/empty.txt`, /is empty; give a text to train on/);
});

test("where jobs run on this machine, s3:// is the user's own S3", async () => {
  const { code, stdout, stderr } = await playground.run("data", `s3://${Bucket}/kinds/text.txt`);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /bytes +1,380,000\n/);
});
