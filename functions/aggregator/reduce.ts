import { add, compile, input, instantiate } from "./kernel.ts";
import { scratch, slotPlace, slotView } from "./kernel-memory.ts";

const SUM = 0;
const RANK = 1;

const sum = slotView(SUM);
const rank = slotView(RANK);
const addRank = instantiate(
  compile({ inputs: [0, 0], outputs: [{ memory: 0, value: add(input(0), input(1)) }], constants: 0 }),
  [scratch],
);

/**
 * Sums elements [start, end) of the ranks' gradients in rank order and float32, so that the same gradients give the
 * same bytes whatever the order of their arrival.
 *
 * @param gradients one per rank, in rank order, all of one length
 * @returns where the sum lies in the scratch memory
 */
export function sumBlock(gradients: readonly Float32Array[], start: number, end: number): number {
  for (const [r, gradient] of gradients.entries()) {
    (r === 0 ? sum : rank).set(gradient.subarray(start, end));
    if (r > 0) addRank(end - start, [slotPlace(SUM), slotPlace(RANK), slotPlace(SUM)], []);
  }
  return slotPlace(SUM);
}

const EXPONENT = 0x7f80_0000;
const LOWEST_EXPONENT_BIT = 0x0080_0000;

/** Index of the first element that is not finite, or -1. */
export function firstNonFinite(vector: Float32Array): number {
  const bits = new Int32Array(vector.buffer, vector.byteOffset, vector.length);
  let found = 0;
  // An exponent of all ones, which infinities and NaNs have, carries into the sign; and nothing else does.
  for (let i = 0; i < bits.length; i++) found |= ((bits[i] as number) & EXPONENT) + LOWEST_EXPONENT_BIT;
  return found >= 0 ? -1 : vector.findIndex((value) => !Number.isFinite(value));
}
