import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const TAIL_BYTES = 64 * 1024;

/**
 * Returns the end of a log, which may be larger than memory.
 *
 * @param start in bytes; nothing before it is read
 */
export function tailOf(log: string, start = 0): string {
  const file = openSync(log, "r");
  try {
    const { size } = fstatSync(file);
    const from = Math.max(start, size - TAIL_BYTES);
    const bytes = new Uint8Array(Math.max(0, size - from));
    return new TextDecoder().decode(bytes.subarray(0, readSync(file, bytes, 0, bytes.length, from)));
  } finally {
    closeSync(file);
  }
}
