import assert from "node:assert/strict";
import { test } from "node:test";
import { repeat } from "../../local/functions/repeat.ts";

test("a slow task is never done twice at once, and none begins once the signal was given", async () => {
  const stop = new AbortController();
  let [running, most, done] = [0, 0, 0];
  const task = async () => {
    most = Math.max(most, ++running);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    if (++done === 3) stop.abort();
  };
  await repeat(task, 1, stop.signal);
  assert.deepEqual({ most, done }, { most: 1, done: 3 });
});
