import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJobFile } from "../../protocol/job.ts";
import { shardCount } from "../../protocol/shard-count.ts";

const { optimizer } = parseJobFile(
  {
    name: "a",
    model: { type: "linear", inputs: 2, outputs: 2 },
    data: { type: "linear" },
    optimizer: { type: "adamw", learningRate: 1 },
    steps: 1,
    batch: 1,
  },
  "a",
);
const sgd = { ...optimizer, type: "sgd" as const };

/** Dollars of a step, written out as docs/scaling.md does: one PUT a piece, and all workers wait for a shard's sum. */
function priceOf(shards: number, parameters: number, ranks: number): number {
  const seconds = (parameters / shards) * ((4 * ranks + 12 + 12) / 75e6);
  return ranks * shards * 0.000_005 + ranks * seconds * (0.2 / 3600);
}

test("no other number of shards is cheaper, where the rule chooses freely", () => {
  for (const [parameters, ranks] of [
    [10.8e6, 2],
    [124e6, 8],
    [100e6, 64],
    [1e9, 64],
  ] as const) {
    const chosen = shardCount(parameters, ranks, optimizer);
    const best = priceOf(chosen, parameters, ranks);
    for (let shards = 1; shards <= 1024; shards++) {
      assert.ok(best <= priceOf(shards, parameters, ranks) * (1 + 1e-9), `${shards} against ${chosen}`);
    }
  }
});

test("a small model has one shard, whatever the ranks", () => {
  assert.equal(shardCount(810_000, 2, optimizer), 1);
  assert.equal(shardCount(1_900_000, 64, optimizer), 1);
  assert.equal(shardCount(16, 1, sgd), 1);
});

test("a shard's pieces and state fit into a function", () => {
  assert.ok((2e8 / shardCount(2e8, 1024, sgd)) * (4 * 1024 + 8) <= 1.5e9);
  assert.ok((1e8 / shardCount(1e8, 64, optimizer)) * (4 * 64 + 24) <= 1.5e9);
});

test("a job file need not say it, and may not ask for more than there can be", () => {
  const job = {
    name: "a",
    model: { type: "linear", inputs: 2, outputs: 2 },
    data: { type: "linear" },
    optimizer,
  };
  assert.equal(parseJobFile({ ...job, steps: 1, batch: 1 }, "a").shards, undefined);
  assert.throws(() => parseJobFile({ ...job, steps: 1, batch: 1, shards: 1025 }, "a"), /shards must be/);
});
