import { InvalidInput } from "../../protocol/errors.ts";

/** A part of one of several memories: the memory's index, and bytes from its start. */
export type Region = { readonly memory: number; readonly offset: number };

const PAGE_BYTES = 65_536;
const LINE_BYTES = 64;
/** All that 32-bit addresses reach but a page, so that no end is 0. */
export const MAX_MEMORY_BYTES = 2 ** 32 - PAGE_BYTES;

const wholeLines = (bytes: number): number => Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;

/**
 * Returns zeros that threads share.
 *
 * @param bytes at least; pages that are never written take no memory
 */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * Lays out regions in as many memories as they need, each at the start of a cache line.
 *
 * @param sizes in bytes
 * @param maxBytes of a memory
 * @throws InvalidInput for a region that no memory can hold
 */
export function allocate(
  sizes: readonly number[],
  maxBytes = MAX_MEMORY_BYTES,
): { memories: WebAssembly.Memory[]; regions: Region[] } {
  /** The bytes used of each memory. */
  const used: number[] = [];
  const regions = sizes.map((size): Region => {
    if (size > maxBytes) throw new InvalidInput(`a tensor must have at most ${maxBytes} bytes, got ${size}`);
    const last = used.at(-1);
    if (last === undefined || last + size > maxBytes) {
      return { memory: used.push(wholeLines(size)) - 1, offset: 0 };
    }
    used[used.length - 1] = last + wholeLines(size);
    return { memory: used.length - 1, offset: last };
  });
  return { memories: used.map((bytes) => sharedMemory(bytes)), regions };
}
