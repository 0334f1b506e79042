import { type Code, I32, V128 } from "../../wasm/encoding.ts";
import { control, i8x16, i16x8, i32, i32x4, i64x2, local, v128 } from "../../wasm/instructions.ts";
import { compileModule, FunctionBuilder, instantiate, type WasmFunction } from "../../wasm/module.ts";
import { MULTIPLIER_0, MULTIPLIER_1, ROUNDS, WEYL_0, WEYL_1 } from "./philox.ts";

/**
 * Philox in WebAssembly SIMD, four blocks at a time, a lane each. From four blocks come 64 bytes: the first words of
 * all four, then the second, third and fourth ones; as 16-bit numbers, each is compared with `limit`.
 *
 * Writes 1 where a number is at most `limit` and 0 else, from byte `start` to byte `end`, a multiple of 32 bytes later.
 */
export type PhiloxKernel = (
  start: number,
  end: number,
  limit: number,
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
) => void;

/** Bytes written in a pass of the loop, and the blocks that they take. */
const BYTES = 32;
export const BLOCKS = 4;

/** @param memory where the kernel writes */
export function compilePhilox(memory: WebAssembly.Memory): PhiloxKernel {
  const module = compileModule([{ name: "memory" }], [fillFunction()]);
  return instantiate(module, { memory })("fill");
}

type Pair = readonly [number, number];
type Four = readonly [number, number, number, number];
const INDICES = [0, 1, 2, 3] as const;
const fourOf = (create: () => number): Four => [create(), create(), create(), create()];

/** The locals that the rounds work on, a lane for each block. */
type Registers = {
  /** The words that the first round takes. */
  readonly counter: Four;
  readonly words: Four;
  /** Two products, each in two halves of two lanes. */
  readonly products: Four;
  readonly factors: Pair;
  /** Two for each round. */
  readonly keys: readonly Pair[];
};

/** do { 32 bytes } while (position < end) */
function fillFunction(): WasmFunction {
  const fill = new FunctionBuilder("fill");
  const integer = () => fill.parameter(I32);
  const vector = () => fill.local(V128);
  const [position, end, limit] = [integer(), integer(), integer()];
  const key: Pair = [integer(), integer()];
  const counter = fourOf(integer);
  const limits = vector();
  const registers: Registers = {
    counter: fourOf(vector),
    words: fourOf(vector),
    products: fourOf(vector),
    factors: [vector(), vector()],
    keys: Array.from({ length: ROUNDS }, (): Pair => [vector(), vector()]),
  };
  const [a, b, c, d] = registers.words;
  const pass = [
    ...blocksOf(registers),
    ...v128.store(local.get(position), bitsOf(a, b, limits)),
    ...v128.store(local.get(position), bitsOf(c, d, limits), { offset: BYTES / 2 }),
  ];
  const next = local.tee(position, i32.add(local.get(position), i32.const(BYTES)));
  return fill.build([
    ...local.set(limits, i16x8.splat(local.get(limit))),
    ...prepare(registers, counter, key),
    ...control.repeat(pass, i32.ltU(next, local.get(end))),
  ]);
}

/** Four numbers of the same value. */
const all = (value: number): Code => v128.const([value, value, value, value]);

/** Sets what stays the same in all passes, and the first pass's counter. */
function prepare({ counter, factors, keys }: Registers, first: Four, key: Pair): number[] {
  const splat = (parameter: number): Code => i32x4.splat(local.get(parameter));
  const start = INDICES.flatMap((i) => local.set(counter[i], splat(first[i])));
  const lanes = local.set(counter[0], i32x4.add(local.get(counter[0]), v128.const([0, 1, 2, 3])));
  const sequences = keys.flatMap((round, i) => {
    const before = keys[i - 1];
    const next = (which: 0 | 1, weyl: number): Code =>
      before ? i32x4.add(local.get(before[which]), all(weyl)) : splat(key[which]);
    return [...local.set(round[0], next(0, WEYL_0)), ...local.set(round[1], next(1, WEYL_1))];
  });
  return [
    ...local.set(factors[0], all(MULTIPLIER_0)),
    ...local.set(factors[1], all(MULTIPLIER_1)),
    ...start,
    ...lanes,
    ...sequences,
  ];
}

/** Makes the words of the next four blocks. */
function blocksOf(registers: Registers): number[] {
  const { counter, words, keys } = registers;
  return [
    ...INDICES.flatMap((i) => local.set(words[i], local.get(counter[i]))),
    ...keys.flatMap((round) => roundOf(registers, round)),
    ...local.set(counter[0], i32x4.add(local.get(counter[0]), all(BLOCKS))),
  ];
}

/** One of Philox's rounds: two products, whose halves are exchanged, and the keys. */
function roundOf({ words: [a, b, c, d], products, factors }: Registers, key: Pair): number[] {
  const multiply = (word: number, factor: number, [low, high]: Pair): number[] => [
    ...local.set(low, i64x2.extmulLowI32x4U(local.get(word), local.get(factor))),
    ...local.set(high, i64x2.extmulHighI32x4U(local.get(word), local.get(factor))),
  ];
  const mix = (product: Pair, word: number, roundKey: number): Code =>
    v128.xor(v128.xor(upperHalves(product), local.get(word)), local.get(roundKey));
  const [first, second]: readonly [Pair, Pair] = [
    [products[0], products[1]],
    [products[2], products[3]],
  ];
  return [
    ...multiply(a, factors[0], first),
    ...multiply(c, factors[1], second),
    ...local.set(a, mix(second, b, key[0])),
    ...local.set(b, lowerHalves(second)),
    ...local.set(c, mix(first, d, key[1])),
    ...local.set(d, lowerHalves(first)),
  ];
}

/** Every other 32-bit number of two vectors: the lower or upper halves of four products. */
const everyOther = (first: 0 | 1) => {
  const bytes = [0, 2, 4, 6].flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * (word + first) + byte));
  return ([low, high]: Pair): Code => i8x16.shuffle(local.get(low), local.get(high), bytes);
};
const lowerHalves = everyOther(0);
const upperHalves = everyOther(1);

/** 1 or 0 for each 16-bit number of two vectors of words. */
function bitsOf(first: number, second: number, limits: number): Code {
  const within = (words: number): Code => i16x8.leU(local.get(words), local.get(limits));
  // From -1 and 0 in 16 bits each, -1 and 0 in 8 bits each.
  return v128.and(i8x16.narrowI16x8S(within(first), within(second)), all(0x01010101));
}
