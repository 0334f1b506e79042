import { createHash } from "node:crypto";
import { type Counter, type Key, philox } from "./philox.ts";

/**
 * The purposes of all random numbers. A random number is a pure function of a seed, its purpose, and up to three indices
 * of the draw. Purposes never share a stream, so adding one changes no other.
 */
const purposes = {
  /** Initial parameters; indices: the tensor's name. */
  initialize: 1,
  /** The window or example of a row of a batch; indices: step, rank, row. */
  batch: 2,
  /** Inputs of a generated example; indices: the example. */
  example: 3,
  /** The solution that generated examples follow. */
  solution: 4,
  /** The next token of a generated text; indices: the token's position. */
  sample: 5,
  /** The elements that dropout leaves out; indices: step, rank, and the micro-batch with the dropout's number. */
  dropout: 6,
  /** The tokens that a masked language model has to predict; indices: step, rank, row. */
  mask: 7,
  /** The same on held-out data; indices: the window. */
  heldOutMask: 8,
  /** Draws of a user's own model; indices: a name of its choice. */
  module: 9,
} as const;

export type Stream = {
  /** 32 bits, unsigned. */
  readonly seed: number;
  readonly purpose: keyof typeof purposes;
  /** 32 bits each, unsigned; those left out are 0. */
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

/** Returns the first uniform number of a stream, in [0, 1), with 53 random bits. */
export function uniform(stream: Stream): number {
  const [high = 0, low = 0] = philox(counterOf(stream, 0), keyOf(stream));
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** Returns a uniform whole number in [0, n), for n up to 2^32. Chances differ by at most n / 2^53 of each other. */
export function uniformBelow(n: number, stream: Stream): number {
  return Math.floor(uniform(stream) * n);
}

/**
 * Fills `out` with normal numbers of mean 0. Box-Muller: two uniform numbers give two independent normal ones.
 * It uses exact operations only, and Math.log, cos and sin, which are V8's own and not the system's.
 */
export function fillNormal(out: Float32Array, deviation: number, stream: Stream): void {
  const key = keyOf(stream);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i += 4) {
    philox(counterOf(stream, i / 4), key, words);
    for (let pair = 0; pair < 4; pair += 2) {
      // The logarithm of 0 is infinite.
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

/** Returns three indices for a name. */
export function indicesOfName(name: string): [number, number, number] {
  const digest = createHash("sha256").update(name).digest();
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8)];
}
