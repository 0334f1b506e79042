import assert from "node:assert/strict";
import { test } from "node:test";
import { keepLikeliest, keepShare, penalize, sampleToken } from "../../../ml/inference/sampling.ts";

/** Fixed vectors: what TopKLogitsWarper, TopPLogitsWarper and RepetitionPenaltyLogitsProcessor of transformers give. */
const LOGITS = [2.0, -1.0, 0.5, 3.0, -0.25, 1.5];

const kept = (logits: Float64Array) => [...logits.keys()].filter((token) => logits[token] !== -Infinity);

test("top-k keeps the k likeliest, and ties with the last of them", () => {
  const top = (k: number, values = LOGITS) => {
    const logits = Float64Array.from(values);
    keepLikeliest(logits, k);
    return kept(logits);
  };
  assert.deepEqual(top(1), [3]);
  assert.deepEqual(top(3), [0, 3, 5]);
  assert.deepEqual(top(6), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(top(2, [1, 5, 1, 0]), [0, 1, 2]);
});

test("top-p keeps the fewest tokens that have the share, at least one", () => {
  // softmax of LOGITS: .2126 .0106 .0474 .5780 .0224 .1290.
  const top = (share: number) => {
    const logits = Float64Array.from(LOGITS);
    keepShare(logits, share);
    return kept(logits);
  };
  const weights = LOGITS.map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const [first = 0, second = 0] = [3, 0].map((token) => (weights[token] ?? 0) / total);
  assert.deepEqual(top(1e-6), [3]);
  assert.deepEqual(top(first - 1e-6), [3]);
  assert.deepEqual(top(first + 1e-6), [0, 3]);
  assert.deepEqual(top(first + second + 1e-6), [0, 3, 5]);
  assert.deepEqual(top(0.985), [0, 2, 3, 4, 5]);
  assert.deepEqual(top(1), [0, 1, 2, 3, 4, 5]);
});

test("the repetition penalty divides positive logits of tokens seen and multiplies negative ones, once each", () => {
  const logits = Float32Array.from(LOGITS);
  penalize(logits, [3, 1, 3, 99], 2);
  assert.deepEqual([...logits], [2, -2, 0.5, 1.5, -0.25, 1.5]);
  const choice = sampleToken(
    Float32Array.from(LOGITS),
    { temperature: 0, repetitionPenalty: 2, seed: 1 },
    { position: 0, seen: [3] },
  );
  assert.equal(choice, 0);
});

test("tokens are drawn by their probability at the temperature, among the k likeliest", () => {
  const logits = [Math.log(1), Math.log(6), Math.log(3)];
  const shares = (temperature: number, topK: number | null = null, topP = 1) => {
    const counts = [0, 0, 0];
    for (let position = 0; position < 10_000; position++) {
      const token = sampleToken(
        Float32Array.from(logits),
        { temperature, topK, topP, seed: 4 },
        { position },
      );
      counts[token] = (counts[token] ?? Number.NaN) + 1 / 10_000;
    }
    return counts;
  };
  const near = (actual: number[], expected: number[]) => {
    for (const [i, share] of expected.entries()) {
      assert.ok(Math.abs((actual[i] ?? Number.NaN) - share) < 0.02, `${actual} is not ${expected}`);
    }
  };
  near(shares(1), [0.1, 0.6, 0.3]);
  near(shares(0.5), [1 / 46, 36 / 46, 9 / 46]);
  near(shares(1, 2), [0, 2 / 3, 1 / 3]);
  near(shares(1, null, 0.85), [0, 2 / 3, 1 / 3]);
  near(shares(1e-9), [0, 1, 0]);
  near(shares(1, 100), [0.1, 0.6, 0.3]);
});

test("a barred id is never chosen, however likely and hot, by any rule", () => {
  const rules = [
    { temperature: 0 },
    { temperature: 3 },
    { temperature: 3, topK: 2 },
    { temperature: 1, topP: 0.5 },
  ];
  for (const rule of rules) {
    for (let position = 0; position < 200; position++) {
      const place = { position, seen: [1, 2], barred: [1, 4] };
      const sampling = { ...rule, repetitionPenalty: 1.5, seed: 2 };
      const token = sampleToken(Float32Array.of(1, 9, 2, 1.5, 8), sampling, place);
      assert.ok([0, 2, 3].includes(token), `${token} by ${JSON.stringify(rule)}`);
    }
  }
});
