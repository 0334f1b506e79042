import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { temporaryFolders } from "../../cli/leftovers/temporary.ts";
import { makeTemporaryFolder } from "../../protocol/temporary-folder.ts";

const root = mkdtempSync(join(tmpdir(), "ps-test-"));
const { TMPDIR } = process.env;
process.env.TMPDIR = root;
after(() => {
  rmSync(root, { recursive: true, force: true });
  process.env.TMPDIR = TMPDIR;
});

/** Starts a process that makes a temporary folder, and stays. */
async function start() {
  const script = `
    import { makeTemporaryFolder } from "./protocol/temporary-folder.ts";
    process.stdout.write(makeTemporaryFolder("model"));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [folder] = await once(child.stdout, "data");
  return { child, folder: String(folder) };
}

async function kill({ child }: Awaited<ReturnType<typeof start>>): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("a folder of a process that was killed is removed by the next one, and one that is in use stays", async () => {
  const [killed, alive] = await Promise.all([start(), start()]);
  await kill(killed);
  const mine = makeTemporaryFolder("graph");
  assert.deepEqual([killed.folder, alive.folder, mine].map(existsSync), [false, true, true]);
  await kill(alive);
  rmSync(mine, { recursive: true });
});

test("cleanup finds what a kill left, and removes it", async () => {
  const killed = await start();
  assert.deepEqual(temporaryFolders(), []);
  await kill(killed);
  const [leftover, ...others] = temporaryFolders();
  assert.deepEqual([leftover?.parts, others], [[`temporary folder ${killed.folder}`], []]);
  assert.equal(await leftover?.remove?.(), true);
  assert.equal(existsSync(killed.folder), false);
});

test("where TMPDIR can't be used, another folder is", () => {
  process.env.TMPDIR = "/nonexistent";
  const folder = makeTemporaryFolder("module");
  process.env.TMPDIR = root;
  assert.match(dirname(folder), /^\/(var\/)?tmp$/);
  rmSync(folder, { recursive: true });
});
