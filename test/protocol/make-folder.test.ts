import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeFolder } from "../../protocol/make-folder.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-folders-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("all missing folders are made, for their user only, and the topmost is returned", () => {
  const path = join(folder, "a", "b", "c");
  assert.equal(makeFolder(path), join(folder, "a"));
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(makeFolder(path), undefined);
});

test("a file in the way is an error", () => {
  writeFileSync(join(folder, "file"), "");
  assert.throws(() => makeFolder(join(folder, "file")), /EEXIST/);
  assert.throws(() => makeFolder(join(folder, "file", "below")), /EEXIST/);
});

test("a folder that the system does not take is an error at once", {
  skip: process.platform !== "linux" && "there is no /proc",
}, () => {
  assert.throws(() => makeFolder("/proc/x"), /ENOENT.*'\/proc\/x'/);
  assert.throws(() => makeFolder("/proc/x/y"), /ENOENT.*'\/proc\/x'/);
});
