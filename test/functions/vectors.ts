import assert from "node:assert/strict";
import type { Vectors } from "../../functions/aggregator/optimizer.ts";
import { bytesOf } from "../../protocol/digest.ts";
import { type OptimizerSpec, slotsOf } from "../../protocol/optimizer-spec.ts";
import { jobOf } from "../support/job.ts";

/** Float32 numbers in (-scale, scale) that depend on `seed` only, of many magnitudes. */
export function numbers(seed: number, length: number, scale = 1): Float32Array {
  let state = seed * 2_654_435_761 + 1;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => scale * (2 * next() - 1) * next() ** 4);
}

export function optimizerOf(settings: Record<string, unknown>): OptimizerSpec {
  const model = { type: "linear", inputs: 1, outputs: 1 };
  const job = { name: "test", model, data: { type: "linear" }, steps: 100, batch: 1, optimizer: settings };
  return jobOf(job, "test").optimizer;
}

/** A shard's vectors at version 0: the slots are zero. */
export function startAt(parameters: Float32Array, optimizer: OptimizerSpec): Vectors {
  return { parameters, slots: slotsOf(optimizer).map(() => new Float32Array(parameters.length)) };
}

/** Vectors as long as `vectors`, whose values must not matter. */
export function dirty({ parameters, slots }: Vectors): Vectors {
  const fresh = () => new Float32Array(parameters.length).fill(Number.NaN);
  return { parameters: fresh(), slots: slots.map(fresh) };
}

export function assertSameBytes(actual: Float32Array, expected: Float32Array, what: string): void {
  if (Buffer.compare(bytesOf(actual), bytesOf(expected)) === 0) return;
  const at = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  assert.fail(`${what}: element ${at} is ${actual[at]}, expected ${expected[at]}`);
}

/** Asserts that every element is within `tolerance` of the expected one, relative to the largest expected. */
export function assertNear(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  const values = Array.from(expected);
  assert.equal(actual.length, values.length, `${what}: length`);
  const limit = tolerance * values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  for (const [i, value] of values.entries()) {
    const near = Math.abs((actual[i] ?? Number.NaN) - value) <= limit;
    assert.ok(near, `${what}: element ${i} is ${actual[i]}, expected ${value} within ${limit}`);
  }
}
