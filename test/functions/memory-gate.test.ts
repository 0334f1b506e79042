import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { MemoryGate } from "../../functions/aggregator/memory-gate.ts";

/** Work that is at it until it is told to end. */
function work(gate: MemoryGate, bytes: number, name: string, log: string[]) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const done = gate.pass(bytes, async () => {
    log.push(name);
    await promise;
  });
  return { end: resolve, fail: reject, done };
}

test("work goes in while it fits, and then in the order it came", async () => {
  const gate = new MemoryGate(100);
  const log: string[] = [];
  const [a, b, c, d] = [60, 40, 70, 10].map((bytes, i) => work(gate, bytes, "abcd"[i] ?? "", log));
  await turn();
  assert.deepEqual(log, ["a", "b"]);
  b?.end();
  await b?.done;
  await turn();
  assert.deepEqual(log, ["a", "b"], "d would fit, but c came first");
  a?.end();
  await a?.done;
  await turn();
  assert.deepEqual(log, ["a", "b", "c", "d"]);
  c?.end();
  d?.end();
  await Promise.all([c?.done, d?.done]);
});

test("what is larger than all memory goes in alone, and what fails makes room", async () => {
  const gate = new MemoryGate(100);
  const log: string[] = [];
  const large = work(gate, 1000, "large", log);
  const small = work(gate, 1, "small", log);
  await turn();
  assert.deepEqual(log, ["large"]);
  large.fail(new Error("broken"));
  await assert.rejects(large.done, /broken/);
  await turn();
  assert.deepEqual(log, ["large", "small"]);
  small.end();
  await small.done;
});
