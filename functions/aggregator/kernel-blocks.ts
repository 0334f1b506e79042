/**
 * Vectors pass through kernels block by block, in a scratch memory small enough to stay in the processor's
 * second-level cache: main memory sees every vector once.
 */
const PAGE_BYTES = 65_536;
const LINE_BYTES = 64;
const SLOTS = 11;

/** Elements per block: 64 KiB. Smaller ones cost more calls, larger ones fall out of the cache. */
export const BLOCK = 16_384;
// Not a multiple of 4 KiB: addresses that differ by one get in each other's way in the cache.
const SLOT_BYTES = 4 * BLOCK + 5 * LINE_BYTES;

export const scratch = new WebAssembly.Memory({ initial: Math.ceil((SLOTS * SLOT_BYTES) / PAGE_BYTES) });
const floats = new Float32Array(scratch.buffer);

/**
 * Copies [start, end) of `vector` into a slot; returns its place in the scratch memory, in bytes. Large buffers start
 * 16 bytes after a cache line, and copies between places alike in that are up to a third faster.
 */
export function load(slot: number, vector: Float32Array, start: number, end: number): number {
  const place = slot * SLOT_BYTES + ((16 + vector.byteOffset + 4 * start) % LINE_BYTES);
  floats.set(vector.subarray(start, end), place / 4);
  return place;
}

/** Copies what is at `place` to [start, end) of `vector`. */
export function store(place: number, vector: Float32Array, start: number, end: number): void {
  vector.set(floats.subarray(place / 4, place / 4 + end - start), start);
}
