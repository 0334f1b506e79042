import { BLOCKS, compilePhilox } from "./philox-kernel.ts";
import { counterOf, keyOf, type Stream } from "./streams.ts";

/** Elements of a block of Philox, of 16 bits each. */
const PER_BLOCK = 8;
/** Elements drawn at once, one page of memory. */
const CHUNK = 1 << 16;

const memory = new WebAssembly.Memory({ initial: CHUNK >> 16 });
const kernel = compilePhilox(memory);

/**
 * Fills `out` with 1 at a chance of `kept` / 65536 and 0 else, each from 16 random bits. Each 32 elements are made of
 * four blocks of Philox: of their first words' halves (lower half first), then of their second, third and fourth ones.
 *
 * @param kept 1 to 65536
 */
export function fillBits(out: Uint8Array, kept: number, stream: Stream): void {
  const [key0, key1] = keyOf(stream);
  for (let start = 0; start < out.length; start += CHUNK) {
    const length = Math.min(CHUNK, out.length - start);
    const whole = Math.ceil(length / (BLOCKS * PER_BLOCK)) * BLOCKS * PER_BLOCK;
    kernel(0, whole, kept - 1, key0, key1, ...counterOf(stream, start / PER_BLOCK));
    out.set(new Uint8Array(memory.buffer, 0, length), start);
  }
}
