import { statfs } from "node:fs/promises";
import { storageFull } from "./errors.ts";

const MIB = 1024 * 1024;
/** Bodies up to this size may use the reserve. */
export const SMALL_BODY_BYTES = 64 * 1024;
/** Kept free on the disk, so that a full one can still take the small writes that say so. */
const RESERVE_BYTES = 32 * MIB;

/** Bytes free for this process on the disk that holds a folder. */
export async function freeBytesOf(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Knows how much more a disk can take. */
export class DiskRoom {
  readonly #folder: string;
  readonly #freeBytes: () => Promise<number>;
  /** Bytes that bodies still on their way will need. */
  #promised = 0;

  constructor(folder: string, freeBytes: () => Promise<number>) {
    this.#folder = folder;
    this.#freeBytes = freeBytes;
  }

  /** Throws 507 when a body of this size would use the reserve. */
  async require(size: number): Promise<void> {
    if (size <= SMALL_BODY_BYTES) return;
    await this.promise(size);
    this.settle(size);
  }

  /** Promises room to a body that is about to arrive, or throws 507. */
  async promise(size: number): Promise<void> {
    const free = await this.#freeBytes();
    // No await from here on: the check and the promise are one.
    const left = free - this.#promised - size;
    if (size > SMALL_BODY_BYTES && left < RESERVE_BYTES) throw storageFull(this.#folder, rule(size, left));
    this.#promised += size;
  }

  /** Takes back a promise for bytes that are written by now, or will not come. */
  settle(size: number): void {
    this.#promised -= size;
  }
}

function rule(size: number, left: number): string {
  const mib = (bytes: number) => `${Math.floor(bytes / MIB)} MiB`;
  return `a disk must keep ${mib(RESERVE_BYTES)} free, ${mib(size)} more would leave ${mib(left)}`;
}
