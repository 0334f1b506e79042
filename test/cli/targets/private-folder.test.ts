import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseAddress } from "../../../cli/targets/address.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-private-"));
after(() => rmSync(folder, { recursive: true }));

test("a cache that others may write is refused with the command that mends it", () => {
  const cache = join(folder, "cache");
  const address = () => parseAddress({}, { PS_DATA_DIR: folder, PS_CACHE_DIR: cache });
  address();
  mkdirSync(cache);
  for (const mode of [0o775, 0o757, 0o777]) {
    chmodSync(cache, mode);
    assert.throws(address, {
      name: "InvalidInput",
      message: `the cache folder ${cache} must be writable by you only, its mode is ${mode.toString(8)}; run: chmod go-w '${cache}'`,
    });
  }
  for (const mode of [0o755, 0o700]) {
    chmodSync(cache, mode);
    address();
  }
});

test("a cache of another user is refused", {
  skip: process.getuid?.() === 0 && "root owns every folder here",
}, () => {
  assert.throws(
    () => parseAddress({}, { PS_DATA_DIR: folder, PS_CACHE_DIR: "/usr" }),
    /belongs to another user \(uid 0\)/,
  );
});
