import assert from "node:assert/strict";
import type { Tensor } from "@tensorflow/tfjs";
import { type Backend, loadBackend } from "../../worker/backend/load.ts";
import type { ModelParameter, Tensors } from "../../worker/models/model.ts";
import { fillNormal, indicesOfName } from "../../worker/random/streams.ts";

/** The named backend on one thread; undefined where it is not installed. */
export async function backendOrSkip(name: Backend["name"]): Promise<Backend | undefined> {
  return loadBackend(name, { threads: 1 }).catch((error) => {
    if (name === "wasm") throw error;
    return undefined;
  });
}

/** Normal numbers that depend on `name` only. */
export function normals(name: string, length: number, deviation = 1): Float32Array {
  const values = new Float32Array(length);
  fillNormal(values, deviation, { seed: 1, purpose: "initialize", indices: indicesOfName(name) });
  return values;
}

/** Every parameter normal around its usual start, so that no gradient is zero by chance of initialization. */
export function randomParameters({ tf }: Backend, parameters: readonly ModelParameter[]): Tensors {
  const tensors = parameters.map(({ name, shape, init }) => {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = normals(name, size, 0.2);
    return [name, tf.tensor(init.type === "ones" ? values.map((v) => v + 1) : values, [...shape])];
  });
  return Object.fromEntries(tensors);
}

/** Asserts that every element is within `tolerance` of the expected one, relative to the largest expected. */
export function assertClose(
  actual: ArrayLike<number> | Tensor,
  expected: ArrayLike<number> | Tensor,
  tolerance: number,
  what: string,
): void {
  const a = "dataSync" in actual ? actual.dataSync() : actual;
  const b = "dataSync" in expected ? expected.dataSync() : expected;
  assert.equal(a.length, b.length, `${what}: length`);
  const values = Array.from(b);
  const scale = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const limit = tolerance * scale + Number.EPSILON;
  for (const [i, value] of values.entries()) {
    const difference = Math.abs((a[i] ?? Number.NaN) - value);
    assert.ok(difference <= limit, `${what}: element ${i} is ${a[i]}, expected ${value} within ${limit}`);
  }
}
