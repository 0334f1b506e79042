import assert from "node:assert/strict";
import { test } from "node:test";
import { PieceCache } from "../../functions/aggregator/piece-cache.ts";
import type { Piece } from "../../protocol/piece.ts";

const BYTES = 40;

const piece = (job: string, step: number, rank: number): Piece => ({
  name: { job, step, shard: 0, rank },
  digest: "",
  gradient: new Float32Array(BYTES / 4),
  report: { loss: 0, tokens: 0, pullMs: 0, computeMs: 0, pushMs: 0, worker: "" },
});

test("the first pieces of a step stay when the last do not fit", () => {
  const cache = new PieceCache(3 * BYTES);
  for (let rank = 0; rank < 5; rank++) cache.set(piece("a", 7, rank));
  const kept = [0, 1, 2, 3, 4].filter((rank) => cache.get({ job: "a", step: 7, shard: 0, rank }));
  assert.deepEqual(kept, [0, 1, 2]);
  assert.equal(cache.hasRoom({ job: "a", step: 7, shard: 0, rank: 4 }, BYTES), false);
});

test("what earlier steps and other jobs left makes room, the oldest first", () => {
  const cache = new PieceCache(3 * BYTES);
  for (const left of [piece("gone", 9, 0), piece("a", 6, 0), piece("a", 7, 0)]) cache.set(left);
  cache.set(piece("a", 7, 1));
  assert.equal(cache.get({ job: "gone", step: 9, shard: 0, rank: 0 }), null);
  assert.ok(cache.get({ job: "a", step: 6, shard: 0, rank: 0 }));
  cache.set(piece("a", 7, 2));
  assert.equal(cache.get({ job: "a", step: 6, shard: 0, rank: 0 }), null);
  const kept = [0, 1, 2].filter((rank) => cache.get({ job: "a", step: 7, shard: 0, rank }));
  assert.deepEqual(kept, [0, 1, 2]);
});

test("a step that has committed leaves nothing", () => {
  const cache = new PieceCache(2 * BYTES);
  cache.set(piece("a", 7, 0));
  cache.forget("a", 7, 0, 2);
  assert.equal(cache.get({ job: "a", step: 7, shard: 0, rank: 0 }), null);
  assert.ok(cache.hasRoom({ job: "a", step: 7, shard: 0, rank: 0 }, 2 * BYTES));
});
