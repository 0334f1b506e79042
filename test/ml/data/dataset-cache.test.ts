import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { cacheLimit, cacheSize } from "../../../ml/data/cache-trim.ts";
import { findCached } from "../../../ml/data/dataset-cache.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";

const root = mkdtempSync(join(tmpdir(), "ps-cache-"));
after(() => rmSync(root, { recursive: true, force: true }));

let cache: string;
let number = 0;
beforeEach(() => {
  cache = join(root, String(number++));
  process.env.PS_CACHE_BYTES = "";
});

/** The id of a process that has ended. */
const dead = spawnSync(process.execPath, ["-e", ""]).pid;

/** Tokenizes 40,000 bytes that no other dataset has, and lets them have been used by process `user`, `age` seconds ago. */
async function make(name: string, age: number, user = dead): Promise<string> {
  const path = join(root, `${name}.txt`);
  writeFileSync(path, name.repeat(40_000 / name.length));
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(path, hourAgo, hourAgo);
  const { digest, tokens } = await prepareText({ path, tokenizer: "byte", cache });
  tokens.close();
  renameSync(join(cache, "users", digest, String(process.pid)), join(cache, "users", digest, String(user)));
  const then = new Date(Date.now() - 1000 * age);
  utimesSync(join(cache, "datasets", digest), then, then);
  return digest;
}

const held = () => readdirSync(join(cache, "datasets")).sort();

test("datasets beyond the limit are removed, those not used for the longest time first", async () => {
  const [a, b, c] = [await make("aaaa", 30), await make("bbbb", 20), await make("cccc", 10)];
  assert.deepEqual(held(), [a, b, c].sort(), "none is removed below the limit");
  // Being found is a use.
  (await findCached(cache, a))?.tokens.close();
  rmSync(join(cache, "users", a), { recursive: true });
  process.env.PS_CACHE_BYTES = String((await cacheSize(cache)) + 1000);
  const d = await make("dddd", 0);
  assert.deepEqual(held(), [a, c, d].sort());
  assert.equal(existsSync(join(cache, "users", b)), false);
  assert.deepEqual(readdirSync(join(cache, "drafts")), []);
});

test("a dataset that a live process uses stays, however old and large", async () => {
  const user = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  try {
    const [used, unused] = [await make("eeee", 90, user.pid), await make("ffff", 30)];
    process.env.PS_CACHE_BYTES = "0";
    const own = await make("gggg", 0);
    assert.deepEqual(held(), [used, own].sort());
    assert.equal(await findCached(cache, unused), null);
  } finally {
    user.kill();
  }
});

test("a text whose dataset was removed is tokenized again", async () => {
  const first = await make("hhhh", 30);
  process.env.PS_CACHE_BYTES = "1";
  const second = await make("iiii", 20);
  assert.deepEqual(held(), [second]);
  assert.equal(await make("hhhh", 0), first);
  assert.deepEqual(held(), [first]);
});

test("the limit is PS_CACHE_BYTES, else 20 GB or half of what the disk has, and must be a number", async () => {
  assert.equal(await cacheLimit(root, 0, { PS_CACHE_BYTES: "12345" }), 12345);
  const limit = await cacheLimit(root, 0, {});
  assert.ok(limit > 0 && limit <= 20e9, String(limit));
  await assert.rejects(cacheLimit(root, 0, { PS_CACHE_BYTES: "20G" }), {
    name: "InvalidInput",
    message: 'PS_CACHE_BYTES must be a whole number of bytes, got "20G"',
  });
});
