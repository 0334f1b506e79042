import type { Range } from "../../protocol/layout.ts";
import { at } from "../../protocol/required.ts";
import { add, compile, type Expression, input, type Kernel } from "./kernel.ts";
import { load, type Slots, scratch } from "./kernel-blocks.ts";

/** How many gradients are in the scratch memory at once, in the first slots. */
export const GROUP = 4;

/** The sum of the first `count` inputs, in order: the same gradients give the same bytes. */
export function sumOf(count: number): Expression {
  return Array.from({ length: count }, (_, i) => input(i)).reduce((sum, next) => add(sum, next));
}

let addGroup: Kernel | undefined;

/**
 * Loads a range of the ranks' gradients.
 *
 * @param gradients one per rank, in rank order
 * @returns offsets of at most GROUP blocks whose sum in order is the gradients' sum in rank order
 */
export function loadGradients(slots: Slots, gradients: readonly Float32Array[], range: Range): number[] {
  let offsets: number[] = [];
  for (const gradient of gradients) {
    if (offsets.length === GROUP) {
      const sum = at(offsets, 0, "the first gradient's block");
      addGroup ??= compile({ inputs: GROUP, outputs: [sumOf(GROUP)] }, scratch);
      addGroup(range.end - range.start, [...offsets, sum], {});
      offsets = [sum];
    }
    offsets.push(load(slots, offsets.length, gradient, range));
  }
  return offsets;
}

const EXPONENT = 0x7f80_0000;
const LOWEST_EXPONENT_BIT = 0x0080_0000;

/** Index of the first element that is not finite, or -1. */
export function firstNonFinite(vector: Float32Array): number {
  const bits = new Int32Array(vector.buffer, vector.byteOffset, vector.length);
  let found = 0;
  // An exponent of all ones, which infinities and NaNs have, carries into the sign; nothing else does.
  for (let i = 0; i < bits.length; i++) found |= ((bits[i] as number) & EXPONENT) + LOWEST_EXPONENT_BIT;
  return found >= 0 ? -1 : vector.findIndex((value) => !Number.isFinite(value));
}
