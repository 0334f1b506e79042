import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { keys } from "../../protocol/keys.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

/** The bundles as Lambda gets them: alone in a folder, far from any node_modules, in a process of their own. */

const MAX_BYTES = 5_000_000;
const events = { updates: { Records: [] }, "dead-letters": { Records: [] }, watchdog: {} };
type Name = keyof typeof events;

let lab: Lab;
let folder: string;
before(async () => {
  lab = await openLab();
  folder = mkdtempSync(join(tmpdir(), "ps-lambda-"));
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await lab.close();
});

const bundle = (name: Name): string => join("dist", "lambda", name, "index.mjs");

async function invoke(name: Name, event: unknown): Promise<unknown> {
  const copy = join(folder, `${name}.mjs`);
  copyFileSync(bundle(name), copy);
  const code = `
    const { handler } = await import(process.argv[1]);
    const answer = await handler(JSON.parse(process.argv[2]), {});
    console.log(JSON.stringify(answer ?? null));
    process.exit(0);`;
  const args = ["--input-type=module", "-e", code, copy, JSON.stringify(event)];
  const env = { ...lab.target.environment };
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env });
  return JSON.parse(stdout);
}

for (const [name, event] of Object.entries(events) as [Name, unknown][]) {
  test(`the bundle of ${name} stands alone, is small, and answers`, async () => {
    assert.ok(statSync(bundle(name)).size < MAX_BYTES);
    assert.doesNotMatch(readFileSync(bundle(name), "utf8"), /@tensorflow\/|tfjs/);
    assert.deepEqual(await invoke(name, event), name === "watchdog" ? null : { batchItemFailures: [] });
  });
}

test("the watchdog's bundle puts an attempt away that another one has followed", async () => {
  const { name } = linearJob("followed");
  await lab.submit(linearJob("followed"));
  await lab.cloud.store.create(keys.active(name, 0), new Uint8Array());
  await invoke("watchdog", {});
  const left = await lab.cloud.store.list(`${keys.actives}${name}/`);
  assert.deepEqual(
    left.map(({ key }) => key),
    [keys.active(name, 1)],
  );
});

test("the dead letters' bundle ends the job of a message that killed its actor", async () => {
  const { name } = linearJob("deadly");
  await lab.submit(linearJob("deadly"));
  const record = { messageId: "m-1", body: "?", attributes: { MessageGroupId: `${name}/2` } };
  await invoke("dead-letters", { Records: [record] });
  const { state } = await lab.cloud.jobs.state(name);
  assert.equal(state.status, "failed");
  assert.match(state.reason ?? "", /shard 2.* could not handle a message; see its logs for message m-1/);
});
