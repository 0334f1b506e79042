import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { uploadDataset } from "../../cli/submission/dataset.ts";
import { keys } from "../../protocol/keys.ts";
import { fetchDataset } from "../../worker/dataset.ts";
import { openLab } from "../support/lab.ts";
import { datasetOf, tokensOf } from "../support/models.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-fetch-"));
const lab = await openLab();
const { cloud } = lab;
after(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

// Of more than one part: 9 MB of tokens.
const dataset = await datasetOf("0123456789abcdef".repeat(300_000), { tokenizer: "byte" });
await uploadDataset(cloud.store, dataset);

test("a worker fetches a dataset once, and reads it from its disk", async () => {
  const cache = join(folder, "once");
  const fetched = await fetchDataset(cloud, dataset.digest, cache);
  assert.equal(fetched.digest, dataset.digest);
  assert.deepEqual(fetched.meta, dataset.meta);
  assert.deepEqual(tokensOf(fetched), tokensOf(dataset));
  const nowhere = { store: null } as unknown as typeof cloud;
  assert.equal((await fetchDataset(nowhere, dataset.digest, cache)).directory, fetched.directory);
});

test("two workers may fetch a dataset at once", async () => {
  const cache = join(folder, "twice");
  const fetched = await Promise.all([1, 2, 3].map(() => fetchDataset(cloud, dataset.digest, cache)));
  for (const each of fetched) assert.equal(each.digest, dataset.digest);
  assert.deepEqual(readdirSync(join(cache, "drafts")), []);
  assert.deepEqual(readdirSync(join(cache, "datasets")), [dataset.digest]);
});

test("a dataset that was damaged on the worker's disk is fetched again", async () => {
  const cache = join(folder, "damaged");
  const { directory } = await fetchDataset(cloud, dataset.digest, cache);
  writeFileSync(join(directory, "tokens.bin"), new Uint8Array(2 * dataset.tokens.length));
  assert.deepEqual(tokensOf(await fetchDataset(cloud, dataset.digest, cache)), tokensOf(dataset));
});

test("a dataset that was changed or is incomplete in S3 is refused, and not kept", async () => {
  const other = await datasetOf("something else", { tokenizer: "byte" });
  const { store } = cloud;
  const digest = "0".repeat(64);
  await uploadDataset(store, { ...other, digest });
  const cache = join(folder, "changed");
  await assert.rejects(fetchDataset(cloud, digest, cache), {
    name: "DamagedObject",
    message: /is corrupt: its digest is .*; remove it and submit again/,
  });
  assert.equal(existsSync(cache), false);
  await store.remove([keys.dataset(digest, "tokenizer.json")]);
  await assert.rejects(fetchDataset(cloud, digest, cache), { message: /tokenizer\.json is missing; submit/ });
  await store.remove([keys.dataset(digest, "meta.json")]);
  await assert.rejects(fetchDataset(cloud, digest, cache), { message: /meta\.json is missing; submit/ });
  assert.equal(existsSync(cache), false);
});
