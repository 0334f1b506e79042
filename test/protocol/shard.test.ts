import assert from "node:assert/strict";
import { test } from "node:test";
import { planLayout } from "../../protocol/layout.ts";
import { blankShard, openShard, readShardHeader, sealShard } from "../../protocol/shard.ts";

/** A shard is read only when it is the one asked for, whole and unchanged. */

const SLOTS = ["mean", "square"];
const layout = planLayout([{ name: "w", shape: [20] }], 2, 1);

/** Shard 0 of version 3, whose vectors are 1, 2 and 3 throughout. */
function shardFile(): Uint8Array {
  const shard = blankShard(layout, 0, 3, SLOTS);
  for (const [i, vector] of [shard.parameters, ...shard.slots].entries()) vector.fill(i + 1);
  return sealShard(layout, shard, SLOTS, [], 0);
}

test("a shard gives the vectors that it was sealed with", () => {
  const { parameters, slots } = openShard(layout, 0, 3, SLOTS, shardFile());
  assert.deepEqual(
    [parameters, ...slots].map((vector) => [...new Set(vector)]),
    [[1], [2], [3]],
  );
});

for (const [i, name] of ["parameters", ...SLOTS].entries()) {
  test(`a shard whose ${name} were changed is refused`, () => {
    const file = shardFile();
    const place = layout.headerBytes + 40 * i + 5;
    file[place] = (file[place] ?? 0) ^ 1;
    const says = new RegExp(`vector ${name} of shard 0 of version 3 is corrupt: its SHA-256 must be`);
    assert.throws(() => openShard(layout, 0, 3, SLOTS, file), says);
  });
}

for (const [what, shard, version] of [
  ["another version", 0, 4],
  ["another shard", 1, 3],
] as const) {
  test(`the file of ${what} is refused, and so is its header`, () => {
    const says = new RegExp(`shard ${shard} of version ${version}: the object says it is shard 0 of 3`);
    assert.throws(() => openShard(layout, shard, version, SLOTS, shardFile()), says);
    assert.throws(
      () => readShardHeader(layout, shard, version, shardFile().subarray(0, layout.headerBytes)),
      says,
    );
  });
}
