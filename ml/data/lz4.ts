import { CorruptData } from "../../protocol/errors.ts";

/** Shortest run that an LZ4 match copies. */
const MIN_MATCH = 4;
/** A length of four bits that goes on in the following bytes. */
const MORE = 15;

/**
 * Decompresses one LZ4 block (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
 *
 * @param length of the result in bytes
 * @throws CorruptData when the block is damaged
 */
export function decompressLz4(input: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  let from = 0;
  let to = 0;
  const next = (): number => {
    const byte = input[from++];
    if (byte === undefined) throw new CorruptData("an LZ4 block ends too early");
    return byte;
  };
  const lengthOf = (bits: number): number => {
    let total = bits;
    for (let byte = bits === MORE ? 255 : 0; byte === 255; ) total += byte = next();
    return total;
  };
  while (from < input.length) {
    const token = next();
    const literals = lengthOf(token >> 4);
    if (from + literals > input.length || to + literals > length)
      throw new CorruptData("an LZ4 block is damaged");
    output.set(input.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === input.length) break;
    const distance = next() | (next() << 8);
    const end = to + lengthOf(token & MORE) + MIN_MATCH;
    if (distance === 0 || distance > to || end > length) throw new CorruptData("an LZ4 block is damaged");
    // Byte by byte: a match may overlap what it makes.
    for (; to < end; to++) output[to] = output[to - distance] ?? 0;
  }
  if (to !== length) throw new CorruptData(`an LZ4 block has ${to} bytes of ${length}`);
  return output;
}

/**
 * Decompresses a page of parquet's older codec LZ4: by Hadoop's rule blocks that follow their two lengths, and by other
 * writers one plain block.
 */
export function decompressHadoopLz4(input: Uint8Array, length: number): Uint8Array {
  return hadoopBlocks(input, length) ?? decompressLz4(input, length);
}

/** Null when the lengths do not fit. */
function hadoopBlocks(input: Uint8Array, length: number): Uint8Array | null {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const output = new Uint8Array(length);
  let to = 0;
  for (let from = 0; from < input.length; ) {
    if (from + 8 > input.length) return null;
    const [plain, packed] = [view.getUint32(from), view.getUint32(from + 4)];
    from += 8;
    if (to + plain > length || from + packed > input.length) return null;
    try {
      output.set(decompressLz4(input.subarray(from, from + packed), plain), to);
    } catch {
      return null;
    }
    from += packed;
    to += plain;
  }
  return to === length ? output : null;
}
