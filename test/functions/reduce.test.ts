import assert from "node:assert/strict";
import { test } from "node:test";
import { stepShard } from "../../functions/aggregator/optimizer.ts";
import { firstNonFinite } from "../../functions/aggregator/reduce.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { assertSameBytes, dirty, numbers, optimizerOf, startAt } from "./vectors.ts";

const descent = optimizerOf({ type: "sgd", learningRate: 1 });

/** The combined gradient, which is what SGD at rate 1 takes from parameters of zero. */
function combine(gradients: readonly Float32Array[], reduce: JobSpec["reduce"]): Float32Array {
  const current = startAt(new Float32Array(gradients[0]?.length ?? 0), descent);
  const next = dirty(current);
  stepShard({ optimizer: descent, step: 0, gradients, reduce, decaying: [], current, next });
  return next.parameters.map((value) => 0 - value);
}

/** The same, one rounding per operation, as plainly as it can be put. */
function combinePlainly(gradients: readonly Float32Array[], reduce: JobSpec["reduce"]): Float32Array {
  const share = Math.fround(1 / gradients.length);
  return Float32Array.from({ length: gradients[0]?.length ?? 0 }, (_, i) => {
    const values = gradients.map((gradient) => gradient[i] ?? Number.NaN);
    const sum = values.reduce((total, value) => Math.fround(total + value));
    return reduce === "mean" ? Math.fround(sum * share) : sum;
  });
}

for (const reduce of ["mean", "sum"] as const) {
  test(`the ${reduce} of any number of ranks is taken in rank order, one rounding per addition`, () => {
    for (const ranks of [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 40]) {
      for (const length of [1, 2, 3, 4, 5, 1023, 81_919]) {
        const gradients = Array.from({ length: ranks }, (_, r) => numbers(r + 1, length));
        const what = `${ranks} ranks of ${length}`;
        assertSameBytes(combine(gradients, reduce), combinePlainly(gradients, reduce), what);
      }
    }
  });
}

test("the order of the ranks counts", () => {
  const [large, small, opposite] = [1e8, 1, -1e8].map((value) => new Float32Array(9).fill(value));
  assert.ok(large && small && opposite);
  assert.deepEqual(combine([large, small, opposite], "sum"), new Float32Array(9).fill(0));
  assert.deepEqual(combine([large, opposite, small], "sum"), new Float32Array(9).fill(1));
});

test("gradients that start anywhere in their buffers are read right", () => {
  for (const offset of [0, 1, 2, 3, 5, 15, 16, 17]) {
    const gradients = [1, 2, 3].map((seed) => numbers(seed, 90_000 + offset).subarray(offset));
    assertSameBytes(combine(gradients, "mean"), combinePlainly(gradients, "mean"), `offset ${offset}`);
  }
});

test("the first element that is not finite is found wherever it is", () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const at of [0, 1, 7, 1022]) {
      const vector = numbers(1, 1023);
      vector[at] = bad;
      vector[1022] = bad;
      assert.equal(firstNonFinite(vector), at, `${bad} at ${at}`);
    }
  }
  const negative = new Float32Array(new Uint32Array([0, 0xffc0_0001]).buffer);
  assert.equal(firstNonFinite(negative), 1, "a NaN with its sign bit set");
});

test("every finite number counts as finite", () => {
  const { MAX_VALUE } = Number;
  assert.equal(
    firstNonFinite(new Float32Array([0, -0, 1, -1, 3.4028234e38, -3.4028234e38, 1e-45, -1e-45])),
    -1,
  );
  assert.equal(firstNonFinite(new Float32Array([1, MAX_VALUE])), 1, "too large for float32 is infinite");
  assert.equal(firstNonFinite(new Float32Array(0)), -1);
});
