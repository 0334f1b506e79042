import { createHash } from "node:crypto";
import { type Counter, type Key, philox } from "./philox.ts";

/**
 * Every random number of the project: a pure function of a seed, the purpose of the draw, and up to three indices
 * that say which draw it is. Purposes never share a stream, so adding one changes no other.
 */
const purposes = {
  /** Initial parameters; indices: the tensor's name. */
  initialize: 1,
  /** Which window or example a row of a batch is; indices: step, rank, row. */
  batch: 2,
  /** Inputs of a generated example; indices: the example. */
  example: 3,
  /** The solution that generated examples follow. */
  solution: 4,
  /** The next token of a generated text; indices: the token's place. */
  sample: 5,
  /** What dropout leaves out; indices: step, rank, micro-batch and place. */
  dropout: 6,
  /** What a masked language model is to predict; indices: step, rank, row. */
  mask: 7,
  /** The same on held-out data; indices: the window. */
  heldOutMask: 8,
  /** What a user's own model draws; indices: a name that it gives. */
  module: 9,
} as const;

export type Stream = {
  /** 32 bits, unsigned. */
  readonly seed: number;
  readonly purpose: keyof typeof purposes;
  /** Each 32 bits, unsigned; those left out are 0. */
  readonly indices: readonly [number?, number?, number?];
};

const TWO_32 = 2 ** 32;

export const keyOf = ({ seed, purpose }: Stream): Key => [seed >>> 0, purposes[purpose]];

export const counterOf = ({ indices: [a = 0, b = 0, c = 0] }: Stream, position: number): Counter => [
  position >>> 0,
  a >>> 0,
  b >>> 0,
  c >>> 0,
];

/** A uniform number in [0, 1) with 53 random bits: the first of `stream`. */
export function uniform(stream: Stream): number {
  const [high = 0, low = 0] = philox(counterOf(stream, 0), keyOf(stream));
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** A uniform whole number in [0, n), for n up to 2^32. No value is likelier than another by more than n / 2^53. */
export function uniformBelow(n: number, stream: Stream): number {
  return Math.floor(uniform(stream) * n);
}

/**
 * Fills `out` with normal numbers of mean 0. Box-Muller: two uniform numbers give two independent normal ones.
 * Only exact operations and Math.log, cos and sin are used, which V8 brings along rather than take from the system.
 */
export function fillNormal(out: Float32Array, deviation: number, stream: Stream): void {
  const key = keyOf(stream);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i += 4) {
    philox(counterOf(stream, i / 4), key, words);
    for (let pair = 0; pair < 4; pair += 2) {
      // 1 is added so that the logarithm never sees 0.
      const radius = deviation * Math.sqrt(-2 * Math.log(((words[pair] ?? 0) + 1) / TWO_32));
      const angle = 2 * Math.PI * ((words[pair + 1] ?? 0) / TWO_32);
      out[i + pair] = radius * Math.cos(angle);
      out[i + pair + 1] = radius * Math.sin(angle);
    }
  }
}

/** Fills `out` with uniform numbers in [0, 1) of 24 random bits. */
export function fillUniform(out: Float32Array, stream: Stream): void {
  const key = keyOf(stream);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i += 4) {
    philox(counterOf(stream, i / 4), key, words);
    for (let j = 0; j < 4; j++) out[i + j] = ((words[j] ?? 0) >>> 8) / 2 ** 24;
  }
}

/** Three indices that stand for a name. */
export function indicesOfName(name: string): [number, number, number] {
  const digest = createHash("sha256").update(name).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8)];
}
