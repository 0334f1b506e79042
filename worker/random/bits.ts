import { philox } from "./philox.ts";
import { counterOf, keyOf, type Stream } from "./streams.ts";

/**
 * Fills `out` with 1 at a chance of `kept` / 65536 and 0 else, each from 16 random bits: eight of a block of Philox.
 *
 * @param kept 0 to 65536
 */
export function fillBits(out: Uint8Array, kept: number, stream: Stream): void {
  const key = keyOf(stream);
  const words = new Uint32Array(4);
  for (let i = 0; i < out.length; i += 8) {
    philox(counterOf(stream, i / 8), key, words);
    for (let j = 0; j < 4; j++) {
      const word = words[j] ?? 0;
      out[i + 2 * j] = (word & 0xffff) < kept ? 1 : 0;
      out[i + 2 * j + 1] = word >>> 16 < kept ? 1 : 0;
    }
  }
}
