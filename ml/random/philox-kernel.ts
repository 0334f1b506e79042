import {
  type Code,
  get,
  I32,
  leb,
  list,
  PREAMBLE,
  section,
  set,
  simd,
  tee,
  text,
  V128,
} from "../../wasm/encoding.ts";
import { MULTIPLIER_0, MULTIPLIER_1, ROUNDS, WEYL_0, WEYL_1 } from "./philox.ts";

/**
 * Philox in WebAssembly SIMD, four blocks at a time, a lane each. From four blocks come 64 bytes: the first words of
 * all four, then the second, third and fourth ones; as 16-bit numbers, each is compared with `most`.
 *
 * Writes 1 where a number is at most `most` and 0 else, from byte `at` up to byte `end`, a multiple of 32 further on.
 */
export type PhiloxKernel = (
  at: number,
  end: number,
  most: number,
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
) => void;

const PARAMETERS = 9;
/** Locals of type i32: the parameters. */
const [AT, END, MOST, KEY_0, KEY_1, COUNTER] = [0, 1, 2, 3, 4, 5];
/** Locals of type v128. */
const [LIMIT, FACTOR_0, FACTOR_1, STEP, START] = [9, 10, 11, 12, 13];
/** Four words of four blocks; two products, each in two halves of two lanes. */
const [WORDS, PRODUCTS] = [17, 21];
const [KEYS_0, KEYS_1] = [25, 25 + ROUNDS];
const LOCALS = KEYS_1 + ROUNDS - PARAMETERS;

/** Bytes written in a round of the loop, and the blocks that they take. */
const BYTES = 32;
export const BLOCKS = 4;

/** @param memory where the kernel writes */
export function compilePhilox(memory: WebAssembly.Memory): PhiloxKernel {
  const module = new WebAssembly.Module(Uint8Array.from(encode()));
  const { fill } = new WebAssembly.Instance(module, { "": { memory } }).exports;
  if (typeof fill !== "function") throw new TypeError("this is not a kernel");
  return fill as PhiloxKernel;
}

function encode(): number[] {
  const body = [1, ...leb(LOCALS), V128, ...prepare(), ...loop(), 0x0b];
  return [
    ...PREAMBLE,
    ...section(1, [[0x60, ...list(Array(PARAMETERS).fill([I32])), 0]]),
    ...section(2, [[...text(""), ...text("memory"), 2, 0, 0]]),
    ...section(3, [[0]]),
    ...section(7, [[...text("fill"), 0, 0]]),
    ...section(10, [[...leb(body.length), ...body]]),
  ];
}

const splat16 = simd(16);
const splat32 = simd(17);
const atMost = simd(52);
const and = simd(78);
const xor = simd(81);
/** Of -1 and 0 in 16 bits each, -1 and 0 in 8 bits each. */
const narrow = simd(101);
const add = simd(174);
const multiplyLow = simd(222);
const multiplyHigh = simd(223);
const store = [...simd(11), 4, 0];

/** A constant with four lanes. */
const lanes = (...values: readonly number[]): Code => [
  ...simd(12),
  ...new Uint8Array(Uint32Array.from(values).buffer),
];
const all = (value: number): Code => lanes(value, value, value, value);

/** Every other 32-bit number of two vectors: the lower or upper halves of four products. */
const everyOther = (first: 0 | 1): Code => [
  ...simd(13),
  ...[0, 2, 4, 6].flatMap((word) => [0, 1, 2, 3].map((byte) => 4 * (word + first) + byte)),
];
const lowerHalves = everyOther(0);
const upperHalves = everyOther(1);

/** What stays the same: the limit, the factors, the counters and the key of each round. */
function prepare(): number[] {
  const keys = ([first, parameter, weyl]: readonly [number, number, number]): number[] => [
    ...[...get(parameter), ...splat32, ...set(first)],
    ...Array.from({ length: ROUNDS - 1 }, (_, i) => [
      ...[...get(first + i), ...all(weyl), ...add, ...set(first + i + 1)],
    ]).flat(),
  ];
  return [
    ...[...get(MOST), ...splat16, ...set(LIMIT)],
    ...[...all(MULTIPLIER_0), ...set(FACTOR_0), ...all(MULTIPLIER_1), ...set(FACTOR_1)],
    ...[...all(BLOCKS), ...set(STEP)],
    ...[...get(COUNTER), ...splat32, ...lanes(0, 1, 2, 3), ...add, ...set(START)],
    ...[1, 2, 3].flatMap((i) => [...get(COUNTER + i), ...splat32, ...set(START + i)]),
    ...keys([KEYS_0, KEY_0, WEYL_0]),
    ...keys([KEYS_1, KEY_1, WEYL_1]),
  ];
}

/** do { 32 bytes } while (at < end) */
function loop(): number[] {
  const begin = [0, 1, 2, 3].flatMap((i) => [...get(START + i), ...set(WORDS + i)]);
  const rounds = Array.from({ length: ROUNDS }, (_, round) => roundOf(round)).flat();
  const bits = [0, 2].flatMap((i) => [...get(AT), 0x41, 8 * i, 0x6a, ...bitsOf(i), ...store]);
  const next = [...get(START), ...get(STEP), ...add, ...set(START)];
  const again = [...get(AT), 0x41, BYTES, 0x6a, ...tee(AT), ...get(END), 0x49, 0x0d, 0];
  return [0x03, 0x40, ...begin, ...rounds, ...bits, ...next, ...again, 0x0b];
}

/** 1 or 0 for each 16-bit number of two words. */
const bitsOf = (word: number): number[] => [
  ...[word, word + 1].flatMap((i) => [...get(WORDS + i), ...get(LIMIT), ...atMost]),
  ...narrow,
  ...all(0x01010101),
  ...and,
];

/** One of Philox's rounds: two products, whose halves change places, and the keys. */
function roundOf(round: number): number[] {
  const product = (word: number, factor: number, to: number): number[] => [
    ...[...get(word), ...get(factor), ...multiplyLow, ...set(to)],
    ...[...get(word), ...get(factor), ...multiplyHigh, ...set(to + 1)],
  ];
  const half = (from: number, which: Code) => [...get(from), ...get(from + 1), ...which];
  const mixed = (from: number, word: number, key: number): number[] => [
    ...half(from, upperHalves),
    ...[...get(word), ...xor, ...get(key + round), ...xor],
  ];
  return [
    ...product(WORDS, FACTOR_0, PRODUCTS),
    ...product(WORDS + 2, FACTOR_1, PRODUCTS + 2),
    ...[...mixed(PRODUCTS + 2, WORDS + 1, KEYS_0), ...set(WORDS)],
    ...[...half(PRODUCTS + 2, lowerHalves), ...set(WORDS + 1)],
    ...[...mixed(PRODUCTS, WORDS + 3, KEYS_1), ...set(WORDS + 2)],
    ...[...half(PRODUCTS, lowerHalves), ...set(WORDS + 3)],
  ];
}
