import assert from "node:assert/strict";
import { test } from "node:test";
import { type Counter, type Key, philox } from "../../worker/random/philox.ts";
import { fillNormal, indicesOfName, uniform, uniformBelow } from "../../worker/random/streams.ts";

const words = (hex: string): number[] => hex.split(" ").map((word) => Number.parseInt(word, 16));

/** Known answers for "philox4x32 10" in the file kat_vectors of the Random123 distribution. */
const knownAnswers = [
  ["00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
  ["ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"],
  ["243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"],
] as const;

for (const [counter, key, expected] of knownAnswers) {
  test(`Philox 4x32-10 of counter ${counter} gives the published answer`, () => {
    const out = philox(words(counter) as unknown as Counter, words(key) as unknown as Key);
    assert.deepEqual([...out], words(expected));
  });
}

test("streams differ by seed, purpose and every index, and by nothing else", () => {
  const base = { seed: 7, purpose: "batch", indices: [1, 2, 3] } as const;
  const others = [
    { ...base, seed: 8 },
    { ...base, purpose: "example" },
    { ...base, indices: [0, 2, 3] },
    { ...base, indices: [1, 0, 3] },
    { ...base, indices: [1, 2, 0] },
  ] as const;
  assert.equal(uniform({ ...base }), uniform(base));
  assert.equal(new Set([base, ...others].map((stream) => uniform(stream))).size, 6);
});

test("uniform whole numbers stay below their bound and hit every value about as often", () => {
  const counts = new Array<number>(7).fill(0);
  for (let i = 0; i < 14_000; i++) {
    const value = uniformBelow(7, { seed: 1, purpose: "batch", indices: [i] });
    counts[value] = (counts[value] ?? Number.NaN) + 1;
  }
  // Chi-squared with 6 degrees of freedom is below 22.5 in 99.9 % of cases.
  const chi2 = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
  assert.ok(chi2 < 22.5, `chi-squared ${chi2} of ${counts}`);
});

test("normal numbers have the moments and tails of a normal distribution", () => {
  const values = new Float32Array(200_000);
  fillNormal(values, 1, { seed: 3, purpose: "example", indices: [] });
  const mean = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
  assert.ok(Math.abs(mean(1)) < 0.01, `mean ${mean(1)}`);
  assert.ok(Math.abs(mean(2) - 1) < 0.02, `variance ${mean(2)}`);
  assert.ok(Math.abs(mean(4) - 3) < 0.15, `fourth moment ${mean(4)}`);
  const beyond = values.filter((value) => Math.abs(value) > 1.96).length / values.length;
  assert.ok(Math.abs(beyond - 0.05) < 0.005, `beyond 1.96: ${beyond}`);
});

test("normal numbers of a stream do not depend on how many are drawn", () => {
  const stream = { seed: 3, purpose: "initialize", indices: indicesOfName("w") } as const;
  const [long, short] = [new Float32Array(13), new Float32Array(6)];
  fillNormal(long, 2, stream);
  fillNormal(short, 2, stream);
  assert.deepEqual(short, long.slice(0, 6));
});
