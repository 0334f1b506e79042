import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type TestContext, test } from "node:test";

/** `npm run rooms` on a small repository with the same rooms: it has one file for each, and none breaks a rule. */
const FILES = {
  "protocol/keys.ts": "export const key = 1;",
  "cloud/store.ts": 'import { key } from "../protocol/keys.ts";\nexport const store = key;',
  "worker/main.ts": 'import { store } from "../cloud/store.ts";\nconsole.log(store);',
  "cli/main.ts": 'import { store } from "../cloud/store.ts";\nconsole.log(store);',
};

function checkRooms(
  t: TestContext,
  changes: Readonly<Record<string, string>>,
): { code: number | null; text: string } {
  const folder = mkdtempSync(join(tmpdir(), "ps-rooms-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries({ ...FILES, ...changes })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), `${text}\n`);
  }
  const program = resolve("node_modules/dependency-cruiser/bin/dependency-cruiser.mjs");
  const config = resolve("rooms.config.mjs");
  const args = [program, "--config", config, "protocol", "cloud", "worker", "cli"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  return { code: status, text: `${stdout}${stderr}` };
}

test("rooms that import what they may pass", (t) => {
  const { code, text } = checkRooms(t, {});
  assert.equal(code, 0, text);
});

test("a worker that imports the command line fails, and both files are named", (t) => {
  const { code, text } = checkRooms(t, {
    "cli/colours.ts": "export const red = 31;",
    "worker/main.ts": 'import { red } from "../cli/colours.ts";\nconsole.log(red);',
  });
  assert.notEqual(code, 0);
  assert.match(text, /what-worker-may-import: worker\/main\.ts → cli\/colours\.ts/);
});

test("a room may not import only types of another either", (t) => {
  const { code, text } = checkRooms(t, {
    "cli/colours.ts": "export type Colour = 31 | 32;",
    "worker/main.ts": 'import type { Colour } from "../cli/colours.ts";\nconsole.log(31 satisfies Colour);',
  });
  assert.notEqual(code, 0);
  assert.match(text, /what-worker-may-import: worker\/main\.ts → cli\/colours\.ts/);
});

test("a package that a room may not import fails, also where its types are found first", (t) => {
  const { code, text } = checkRooms(t, {
    "node_modules/commander/package.json":
      '{ "name": "commander", "exports": { "types": "./index.d.ts", "default": "./index.js" } }',
    "node_modules/commander/index.d.ts": "export declare const command: string;",
    "node_modules/commander/index.js": 'export const command = "";',
    "worker/main.ts": 'import { command } from "commander";\nconsole.log(command);',
  });
  assert.notEqual(code, 0);
  assert.match(text, /what-worker-may-import: worker\/main\.ts → node_modules\/commander/);
});

test("files that import each other in a circle fail", (t) => {
  const { code, text } = checkRooms(t, {
    "cloud/store.ts": 'import { queue } from "./queue.ts";\nexport const store: number = queue;',
    "cloud/queue.ts":
      'import type { store } from "./store.ts";\nexport const queue = 1 satisfies typeof store;',
  });
  assert.notEqual(code, 0);
  assert.match(text, /no-circle: cloud\//);
});

test("a file that no program needs fails", (t) => {
  const { code, text } = checkRooms(t, { "cloud/forgotten.ts": "export const nothing = 0;" });
  assert.notEqual(code, 0);
  assert.match(text, /needed-by-no-program: .*cloud\/forgotten\.ts/);
});
