import assert from "node:assert/strict";
import { test } from "node:test";
import { fillBits } from "../../../ml/random/bits.ts";
import { type Counter, type Key, philox } from "../../../ml/random/philox.ts";
import {
  counterOf,
  fillNormal,
  indicesOfName,
  keyOf,
  type Stream,
  uniform,
  uniformBelow,
} from "../../../ml/random/streams.ts";

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

const mask = (length: number, kept: number, stream: Stream): Uint8Array => {
  const bits = new Uint8Array(length).fill(7);
  fillBits(bits, kept, stream);
  return bits;
};
const MASK: Stream = { seed: 0xfedcba98, purpose: "dropout", indices: [0x89abcdef, 3, 0xffff0001] };

test("bits are Philox's words, each half against the threshold, four blocks at a time", () => {
  // More than the memory that is filled at once.
  const length = 65_536 + 77;
  const bits = mask(length, 40_000, MASK);
  for (let start = 0; start < length; start += 32) {
    const blocks = [0, 1, 2, 3].map((i) => philox(counterOf(MASK, start / 8 + i), keyOf(MASK)));
    const halves = [0, 1, 2, 3].flatMap((word) =>
      blocks.flatMap((block) => [(block[word] ?? 0) & 0xffff, (block[word] ?? 0) >>> 16]),
    );
    const expected = halves.map((half) => (half < 40_000 ? 1 : 0)).slice(0, length - start);
    assert.deepEqual([...bits.subarray(start, start + 32)], expected, `from ${start}`);
  }
});

test("bits of a stream do not depend on how many are drawn", () => {
  const long = mask(1000, 30_000, MASK);
  for (const length of [1, 31, 32, 33, 500])
    assert.deepEqual(mask(length, 30_000, MASK), long.slice(0, length));
  assert.deepEqual(mask(0, 30_000, MASK), new Uint8Array());
});

test("bits are 1 at the wanted chance, and always at 65536 of 65536", () => {
  const length = 1 << 20;
  const count = (kept: number) => mask(length, kept, MASK).reduce((sum, bit) => sum + bit, 0);
  assert.equal(count(65_536), length);
  for (const kept of [1, 6_554, 32_768, 58_982, 65_535]) {
    const chance = kept / 65_536;
    const deviation = Math.sqrt(length * chance * (1 - chance));
    assert.ok(Math.abs(count(kept) - length * chance) < 4 * deviation, `${count(kept)} at ${chance}`);
  }
});
