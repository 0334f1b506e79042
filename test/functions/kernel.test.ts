import assert from "node:assert/strict";
import { test } from "node:test";
import { add, compile, constant, div, input, mul, sqrt, sub } from "../../functions/aggregator/kernel.ts";
import { numbers } from "./vectors.ts";

const memory = new WebAssembly.Memory({ initial: 1 });
const floats = new Float32Array(memory.buffer);
const f32 = Math.fround;

test("every operation rounds to float32, in the wide loop and in the narrow one", () => {
  const [a, b, c] = [input(0), input(1), constant("c")];
  const kernel = compile(
    { inputs: 2, outputs: [add(mul(a, c), b), sub(div(a, b), sqrt(mul(b, b)))] },
    memory,
  );
  for (const count of [0, 1, 2, 3, 4, 5, 7, 8, 9, 250]) {
    const [x, y] = [numbers(1, count), numbers(2, count)];
    floats.fill(7);
    floats.set(x, 1);
    floats.set(y, 1001);
    kernel(count, [4, 4004, 8004, 12_004], { c: 0.1 });
    for (const [i, xi] of x.entries()) {
      const yi = y[i] ?? 0;
      assert.equal(floats[2001 + i], f32(f32(xi * f32(0.1)) + yi), `element ${i} of ${count}`);
      const difference = f32(f32(xi / yi) - f32(Math.sqrt(f32(yi * yi))));
      assert.equal(floats[3001 + i], difference, `element ${i} of ${count}`);
    }
    for (const edge of [2000, 2001 + count, 3000, 3001 + count]) assert.equal(floats[edge], 7, "edges stay");
  }
});

test("an output may lie on an input", () => {
  const [a, b] = [input(0), input(1)];
  const swap = compile({ inputs: 2, outputs: [add(b, constant("zero")), add(a, constant("zero"))] }, memory);
  floats.set([1, 2, 3, 4, 5], 0);
  floats.set([6, 7, 8, 9, 10], 100);
  swap(5, [0, 400, 0, 400], { zero: 0 });
  assert.deepEqual([...floats.subarray(0, 5)], [6, 7, 8, 9, 10]);
  assert.deepEqual([...floats.subarray(100, 105)], [1, 2, 3, 4, 5]);
});

test("a missing constant is an error", () => {
  const scale = compile({ inputs: 1, outputs: [mul(input(0), constant("factor"))] }, memory);
  assert.throws(() => scale(1, [0, 0], {}), /factor/);
});
