import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keys } from "../../protocol/keys.ts";
import { planLayout } from "../../protocol/layout.ts";
import { push } from "../../worker/push.ts";
import { reportOf, takeUpdates } from "../support/begun-job.ts";
import { type Lab, openLab } from "../support/lab.ts";

/** How a rank's gradient comes to the shards' aggregators. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** Pushes a gradient of two shards. @returns the messages about it that came */
async function pushed(job: string, dispatch: string, length = 10) {
  const task = { kind: "gradient", job, step: 3, rank: 1, dispatch } as const;
  const layout = planLayout([{ name: "w", shape: [length] }], 2, 2);
  const gradient = new Float32Array(length).fill(1);
  await push(lab.cloud, { task, layout, gradient, report: reportOf("test") });
  return (await takeUpdates(lab.cloud)).filter((update) => update.kind === "gradient");
}

test("a task that is done twice tells its aggregators once, and once more when it was dispatched again", async () => {
  const shards = async (dispatch: string) =>
    (await pushed("again", dispatch)).map(({ shard }) => shard).toSorted();
  assert.deepEqual(await shards("1"), [0, 1]);
  assert.deepEqual(await shards("1"), []);
  assert.deepEqual(await shards("1-second"), [0, 1]);
});

test("a small piece rides in its message, and a large one is stored before the message comes", async () => {
  for (const { inline } of await pushed("small", "1")) assert.notEqual(inline, null);
  assert.deepEqual(await lab.cloud.store.list(keys.gradients("small")), []);
  for (const { inline } of await pushed("large", "1", 200_000)) assert.equal(inline, null);
  assert.equal((await lab.cloud.store.list(keys.gradients("large"))).length, 2);
});
