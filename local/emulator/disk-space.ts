import { statfs } from "node:fs/promises";
import { storageFull } from "./errors.ts";

const MIB = 1024 * 1024;
/** Bodies up to this size may use the last bytes of a disk. */
export const SMALL_BODY_BYTES = 64 * 1024;
/** Larger bodies leave this free, so that a full disk can still take the small records that say so. */
const MIN_FREE_BYTES = 32 * MIB;

/** Returns the bytes free for this process on the disk of a folder. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** The space that is left on a disk, with what bodies on their way have reserved. */
export class DiskSpace {
  readonly #folder: string;
  readonly #freeBytes: () => Promise<number>;
  #reserved = 0;

  constructor(folder: string, freeBytes: () => Promise<number>) {
    this.#folder = folder;
    this.#freeBytes = freeBytes;
  }

  /** Throws 507 when a body of this size does not fit. */
  async require(size: number): Promise<void> {
    if (size <= SMALL_BODY_BYTES) return;
    await this.reserve(size);
    this.release(size);
  }

  /** Reserves space for a body that is about to arrive. Throws 507 when there is none. */
  async reserve(size: number): Promise<void> {
    const free = await this.#freeBytes();
    // No await from here on: nothing may come between the check and the reservation.
    const left = free - this.#reserved - size;
    if (size > SMALL_BODY_BYTES && left < MIN_FREE_BYTES) throw storageFull(this.#folder, rule(size, left));
    this.#reserved += size;
  }

  /** Ends the reservation of bytes that are written by now, or will not come. */
  release(size: number): void {
    this.#reserved -= size;
  }
}

function rule(size: number, left: number): string {
  const mib = (bytes: number) => `${Math.floor(bytes / MIB)} MiB`;
  return `a disk must keep ${mib(MIN_FREE_BYTES)} free, ${mib(size)} more would leave ${mib(left)}`;
}
