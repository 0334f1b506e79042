import assert from "node:assert/strict";
import { test } from "node:test";
import { type MaskRule, maskTokens, predictedTokens } from "../../../ml/data/masking.ts";
import type { Stream } from "../../../ml/random/streams.ts";

const MASK = 98;
const RULE: MaskRule = { probability: 0.15, mask: MASK, special: new Set([97, MASK, 99]), vocabulary: 100 };
const LENGTH = 64;
const ROWS = 500;

const stream =
  (step: number, rank = 0) =>
  (row: number): Stream => ({ seed: 7, purpose: "mask", indices: [step, rank, row] });

const text = (rows = ROWS): Int32Array => Int32Array.from({ length: rows * LENGTH }, (_, i) => (i * i) % 97);

const TEXT = text();

test("every sequence has its share of tokens to predict, each named once, with what stood there", () => {
  const ids = text();
  const { positions, targets } = maskTokens(ids, LENGTH, RULE, stream(0));
  const count = predictedTokens(LENGTH, RULE.probability);
  assert.equal(count, 10);
  assert.equal(new Set(positions).size, ROWS * count);
  for (const [n, position] of positions.entries()) {
    assert.equal(Math.floor(position / LENGTH), Math.floor(n / count));
    assert.equal(targets[n], TEXT[position]);
  }
  const hidden = new Set(positions);
  for (const [i, id] of TEXT.entries()) if (!hidden.has(i)) assert.equal(ids[i], id);
});

test("of the tokens to predict 80% are hidden, 10% replaced and 10% left, at any position", () => {
  const ids = text();
  const { positions, targets } = maskTokens(ids, LENGTH, RULE, stream(0));
  const share = (what: (id: number, target: number) => boolean) =>
    [...positions].filter((position, n) => what(ids[position] ?? -1, targets[n] ?? -1)).length /
    positions.length;
  // 5,000 draws: four standard deviations are 2.3% and 1.7%.
  assert.ok(Math.abs(share((id) => id === MASK) - 0.8) < 0.023);
  assert.ok(Math.abs(share((id, target) => id !== MASK && id !== target) - 0.1) < 0.017);
  assert.ok(Math.abs(share((id, target) => id === target) - 0.1) < 0.017);
  assert.ok(![...ids].some((id) => id === 97 || id === 99), "no special token is put in");
  const perPlace = new Float64Array(LENGTH);
  for (const position of positions) perPlace[position % LENGTH] = (perPlace[position % LENGTH] ?? 0) + 1;
  // 500 draws a position at 10 in 64: 78 on average, a deviation of 8.1.
  for (const count of perPlace) assert.ok(Math.abs(count - 78) < 41, `${count} of 500`);
});

test("masks depend on seed, step, rank and row alone", () => {
  const masked = (step: number, rank: number, rows = ROWS) => {
    const ids = text(rows);
    return [maskTokens(ids, LENGTH, RULE, stream(step, rank)).positions, ids] as const;
  };
  assert.deepEqual(masked(3, 1), masked(3, 1));
  assert.notDeepEqual(masked(3, 1), masked(4, 1));
  assert.notDeepEqual(masked(3, 1), masked(3, 0));
  assert.deepEqual(masked(3, 1, 2)[1], masked(3, 1)[1].subarray(0, 2 * LENGTH));
});

test("special tokens are predicted only where there is little else", () => {
  const ids = new Int32Array(LENGTH).fill(97);
  ids.set([1, 2, 3], 20);
  const { positions } = maskTokens(ids, LENGTH, RULE, stream(0));
  assert.equal(positions.length, 10);
  for (const position of [20, 21, 22]) assert.ok(positions.includes(position));
});

test("a short sequence has one token to predict at least", () => {
  assert.equal(maskTokens(Int32Array.of(5), 1, RULE, stream(0)).positions.length, 1);
});
