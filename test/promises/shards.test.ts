import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";

let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

for (const type of ["sgd", "momentum", "nesterov", "adam", "adamw"]) {
  test(`any number of shards gives the same bytes with ${type}`, async () => {
    const digests = new Map<number, string>();
    for (const shards of [1, 2, 3, 7]) {
      const optimizer = { type, learningRate: 0.03, weightDecay: 0.1, clipNorm: 1 };
      const spec = linearJob(`${type}-${shards}`, { optimizer, shards, steps: 5 });
      const state = await lab.run(spec);
      assert.equal(state.status, "succeeded", state.reason ?? "");
      digests.set(shards, await lab.digest(spec.name, spec.steps));
      assert.equal(state.checkpoint?.sha256, digests.get(shards), "the checkpoint has the same bytes");
    }
    assert.equal(new Set(digests.values()).size, 1, JSON.stringify([...digests]));
  });
}
