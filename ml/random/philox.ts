/**
 * Philox 4x32-10, a counter-based generator: a block of four random words is a pure function of a counter and a key, so
 * anyone can draw any number, in any order, without a state to keep or to send.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11, section 3.3.
 */
export type Counter = readonly [number, number, number, number];
export type Key = readonly [number, number];

export const ROUNDS = 10;
export const MULTIPLIER_0 = 0xd2511f53;
export const MULTIPLIER_1 = 0xcd9e8d57;
/** Weyl sequences that give each round its key: the golden ratio and sqrt(3) - 1. */
export const WEYL_0 = 0x9e3779b9;
export const WEYL_1 = 0xbb67ae85;

/** Fills `out` with the four 32-bit words of a block. */
export function philox(counter: Counter, key: Key, out: Uint32Array = new Uint32Array(4)): Uint32Array {
  let [a, b, c, d] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, a);
    const high1 = multiplyHigh(MULTIPLIER_1, c);
    const low0 = Math.imul(MULTIPLIER_0, a);
    const low1 = Math.imul(MULTIPLIER_1, c);
    a = (high1 ^ b ^ k0) >>> 0;
    b = low1 >>> 0;
    c = (high0 ^ d ^ k1) >>> 0;
    d = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
  return out;
}

/** The upper 32 bits of a product of two unsigned 32-bit numbers, from four 16-bit products. */
function multiplyHigh(x: number, y: number): number {
  const x0 = x & 0xffff;
  const x1 = x >>> 16;
  const y0 = y & 0xffff;
  const y1 = y >>> 16;
  // Every sum stays below 2^32, so no bit is lost.
  const middle = x1 * y0 + ((x0 * y0) >>> 16);
  const lower = x0 * y1 + (middle & 0xffff);
  return (x1 * y1 + (middle >>> 16) + (lower >>> 16)) >>> 0;
}
