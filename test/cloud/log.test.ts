import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { log, withLogFields } from "../../cloud/log.ts";
import { CorruptData } from "../../protocol/errors.ts";

/** The lines that are logged from now on. */
function listen(t: TestContext): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  t.mock.method(process.stderr, "write", (text: string) => lines.push(JSON.parse(text)) > 0);
  return lines;
}

test("a line has its time, level and event, and the fields of the work it belongs to", async (t) => {
  const lines = listen(t);
  await withLogFields({ job: "a", worker: "w" }, async () => {
    await withLogFields({ step: 3, rank: 1 }, async () => {
      await new Promise(setImmediate);
      log.info("done", { bytes: 5 });
    });
    log.warn("after");
  });
  log.error("outside");
  const [done, after, outside] = lines.map(({ time, ...fields }) => {
    assert.ok(Date.parse(String(time)) > 0);
    return fields;
  });
  assert.deepEqual(done, { level: "info", event: "done", job: "a", worker: "w", step: 3, rank: 1, bytes: 5 });
  assert.deepEqual(after, { level: "warn", event: "after", job: "a", worker: "w" });
  assert.deepEqual(outside, { level: "error", event: "outside" });
});

test("an unexpected error has the stacks of its whole chain of causes, an expected one only its text", (t) => {
  const lines = listen(t);
  const cause = new TypeError("x is not a function");
  log.error("failed", { error: new Error("no batch", { cause }) });
  log.warn("failed", { error: new CorruptData("a shard is truncated", { cause: new Error("short read") }) });
  const [unexpected, expected] = lines;
  assert.equal(unexpected?.error, "Error: no batch (TypeError: x is not a function)");
  assert.match(String(unexpected?.stack), /^Error: no batch\n +at .*\ncaused by: TypeError: x is not/s);
  assert.equal(expected?.error, "a shard is truncated (Error: short read)");
  assert.equal(expected?.stack, undefined);
});

test("PS_LOG is the lowest level that is written", async () => {
  const levelsWith = async (PS_LOG: string) => {
    const code =
      'import { log } from "./cloud/log.ts"; for (const write of Object.values(log)) write("an event")';
    const args = ["--input-type=module", "--eval", code];
    const { stderr } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, PS_LOG } });
    return [...stderr.matchAll(/"level":"(\w+)"/g)].map(([, level]) => level);
  };
  assert.deepEqual(await levelsWith("debug"), ["debug", "info", "warn", "error"]);
  assert.deepEqual(await levelsWith(""), ["info", "warn", "error"]);
  assert.deepEqual(await levelsWith("error"), ["error"]);
});
