import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** Files that are a table, which a cut would make harder to read. */
const TABLES: readonly string[] = [];
const MAX_LINES = 300;

const files = spawnSync("git", ["ls-files", "*.ts", "*.mjs"], { encoding: "utf8" })
  .stdout.split("\n")
  .filter((file) => file !== "" && existsSync(file));

const skip = files.length === 0 && "this is no clone of the repository";

test(`no file has more than ${MAX_LINES} lines`, { skip }, () => {
  const long = files
    .filter((file) => !TABLES.includes(file))
    .map((file) => ({ file, lines: readFileSync(file, "utf8").split("\n").length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES);
  assert.deepEqual(long, [], "cut it by what its parts do");
});

test("cli/ itself has three files; every other is in a folder", { skip }, () => {
  const loose = files.filter((file) => /^cli\/[^/]+$/.test(file));
  assert.deepEqual(loose, ["cli/arguments.ts", "cli/main.ts", "cli/program.ts"]);
});
