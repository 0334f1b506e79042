import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePiece, encodePiece } from "../../protocol/piece.ts";

/** A piece is read only when it is the one asked for, whole and unchanged. */

const name = { job: "mine", step: 3, shard: 1, rank: 2 };
const report = { loss: 1, tokens: 8, pullMs: 1, computeMs: 2, pushMs: 3, worker: "a" };
const file = encodePiece(name, Float32Array.of(1, 2, 3), report);

test("a piece gives the gradient and the report that it was made of", () => {
  const piece = decodePiece(name, file);
  assert.deepEqual([...piece.gradient], [1, 2, 3]);
  assert.deepEqual(piece.report, report);
});

for (const other of [{ job: "yours" }, { step: 4 }, { shard: 2 }, { rank: 1 }]) {
  test(`a piece of another ${Object.keys(other)[0]} is refused, and both are named`, () => {
    const asked = { ...name, ...other };
    const words = `the gradient of ${asked.job}, step ${asked.step}, shard ${asked.shard}, rank ${asked.rank}`;
    const says = `${words} is wrong: the object says it is the gradient of mine, step 3, shard 1, rank 2`;
    assert.throws(() => decodePiece(asked, file), { message: says });
  });
}

test("a piece of which a bit was changed is refused", () => {
  const place = file.length - 1;
  const changed = file.with(place, (file[place] ?? 0) ^ 1);
  assert.throws(() => decodePiece(name, changed), /rank 2: its bytes do not match its digest/);
});
