import assert from "node:assert/strict";
import { test } from "node:test";
import { compileKernels, instantiateKernels } from "../../../ml/inference/kernels.ts";
import { multiply } from "../../../ml/inference/matrix-product.ts";
import { sharedMemory } from "../../../ml/inference/shared-memory.ts";

const [state, matrix] = [sharedMemory(1 << 20), sharedMemory(1 << 20)];
const kernels = instantiateKernels(compileKernels(), state, matrix);
const [floats, weights] = [new Float32Array(state.buffer), new Float32Array(matrix.buffer)];

/** Numbers between -1 and 1 that look random and are always the same. */
const numberAt = (i: number): number => Math.fround(Math.sin(12.9898 * i + 4.1414 * i * i));

test("a product adds to what is there, for any number of rows, columns and vectors, and touches nothing else", () => {
  const [from, to] = [1000, 100_000];
  for (const [i] of weights.entries()) weights[i] = numberAt(i);
  for (const rows of [1, 2, 7, 8, 9, 25]) {
    for (const width of [1, 4, 7, 8, 15, 33, 96]) {
      for (const vectors of [1, 2, 3, 4, 7]) {
        floats.fill(0.5);
        for (let i = 0; i < 100 * vectors; i++) floats[from + i] = numberAt(3 * i);
        multiply(kernels, {
          ...{ matrix: 4 * 5, stride: 4 * (width + 1), rows, width, vectors },
          ...{ from: 4 * from, fromStride: 400, to: 4 * to, toStride: 4 * 50 },
        });
        for (let vector = 0; vector < vectors; vector++) {
          for (let row = 0; row < 50; row++) {
            let sum = 0.5;
            for (let i = 0; i < width && row < rows; i++) {
              sum += (weights[5 + row * (width + 1) + i] ?? 0) * (floats[from + 100 * vector + i] ?? 0);
            }
            const got = floats[to + 50 * vector + row] ?? 0;
            assert.ok(Math.abs(got - sum) < 1e-5, `${rows} x ${width}, ${vectors}: ${got} is not ${sum}`);
          }
        }
      }
    }
  }
});

/** Asserts that what lies from 0 on is `expected`, relative to its size. */
function assertFloats(expected: readonly number[]): void {
  for (const [i, want] of expected.entries()) {
    const got = floats[i] ?? Number.NaN;
    assert.ok(Math.abs(got - want) <= 4e-7 * Math.abs(want) + 1e-30, `element ${i} is ${got}, not ${want}`);
  }
}

const inputs = Array.from({ length: 400 }, (_, i) => Math.fround((i - 200) / 8));
const bytes = 4 * inputs.length;

test("gelu is that of GPT-2, from where it is 0 to where it changes nothing", () => {
  floats.set(inputs);
  kernels.gelu(0, bytes);
  // 0.5 (1 + tanh u) as 1 / (1 + e^-2u), which loses nothing where tanh is near -1.
  const exponent = (x: number) => -2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
  const wanted = inputs.map((x) => x / (1 + Math.exp(exponent(x))));
  for (const [i, want] of wanted.entries()) {
    assert.ok(Math.abs((floats[i] ?? Number.NaN) - want) < 1e-5 * Math.max(1, want), `gelu of ${inputs[i]}`);
  }
});

test("a gate is silu times what it lets through", () => {
  floats.set(inputs);
  floats.set(
    inputs.map((x) => 3 - x),
    1000,
  );
  kernels.swiglu(0, 4000, bytes);
  for (const [i, x] of inputs.entries()) {
    const want = (x / (1 + Math.exp(-x))) * Math.fround(3 - x);
    assert.ok(Math.abs((floats[i] ?? Number.NaN) - want) < 1e-6 * Math.max(1, Math.abs(want)), `gate ${x}`);
  }
});

test("softmax is that of large numbers too, and of hidden positions", () => {
  const scores = [1e4, 1e4 - 1, 1e4 - 20, 9950, 3, -1e4, -1e30, -1e30];
  floats.set(scores);
  kernels.softmax(0, 4 * scores.length);
  const weightsOf = scores.map((score) => Math.exp(Math.max(score - 1e4, -87)));
  const total = weightsOf.reduce((sum, weight) => sum + weight, 0);
  assertFloats(weightsOf.map((weight) => weight / total));
});
