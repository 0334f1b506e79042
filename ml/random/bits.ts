import { BLOCKS, compilePhilox } from "./philox-kernel.ts";
import { counterOf, keyOf, type Stream } from "./streams.ts";

/** Elements of a block of Philox, of 16 bits each. */
const PER_BLOCK = 8;
const PER_PASS = BLOCKS * PER_BLOCK;
/** Elements drawn at once: a page of memory. */
const DRAWN = 1 << 16;

const memory = new WebAssembly.Memory({ initial: DRAWN >> 16 });
const kernel = compilePhilox(memory);

/**
 * Fills `out` with ones at a chance of `keep` / 65536 and zeros else, each from 16 random bits. Each 32 elements come
 * from four blocks of Philox: from the halves of their first words (lower half first), then of their second, third and
 * fourth ones.
 *
 * @param keep 1 to 65536
 */
export function fillBits(out: Uint8Array, keep: number, stream: Stream): void {
  const [key0, key1] = keyOf(stream);
  for (let start = 0; start < out.length; start += DRAWN) {
    const length = Math.min(DRAWN, out.length - start);
    const whole = Math.ceil(length / PER_PASS) * PER_PASS;
    kernel(0, whole, keep - 1, key0, key1, ...counterOf(stream, start / PER_BLOCK));
    out.set(new Uint8Array(memory.buffer, 0, length), start);
  }
}
