import { InvalidInput } from "../../protocol/errors.ts";

/** Where something lies: a memory of several, and bytes from its start. */
export type Region = { readonly memory: number; readonly offset: number };

const PAGE = 65_536;
const LINE = 64;
/** What 32-bit addresses reach, short of a page so that no end is 0. */
export const MAX_BYTES = 2 ** 32 - PAGE;

const lines = (bytes: number): number => Math.ceil(bytes / LINE) * LINE;

/** @param bytes of zeros, that threads share; pages that are never written take no memory */
export function sharedMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/**
 * Lays out regions in as many memories as they need, each at the start of a cache line.
 *
 * @param sizes in bytes
 * @param most bytes of a memory
 * @throws InvalidInput for a region that no memory can hold
 */
export function allocate(
  sizes: readonly number[],
  most = MAX_BYTES,
): { memories: WebAssembly.Memory[]; regions: Region[] } {
  const filled: number[] = [];
  const regions = sizes.map((size): Region => {
    if (size > most) throw new InvalidInput(`a tensor must have at most ${most} bytes, got ${size}`);
    const last = filled.at(-1);
    if (last === undefined || last + size > most) filled.push(0);
    const memory = filled.length - 1;
    const offset = filled[memory] ?? 0;
    filled[memory] = offset + lines(size);
    return { memory, offset };
  });
  return { memories: filled.map((bytes) => sharedMemory(bytes)), regions };
}
