import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";

/** A file that is read at any offset. */
export type RandomAccess = {
  /** Its name in errors. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Fills `into` from byte `position` on.
   *
   * @throws CorruptData when the file ends before `into` is full
   */
  read(into: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
};

/** The folder of a model, on disk or elsewhere. */
export type Folder = {
  /** Its name in errors. */
  readonly name: string;
  /** Reads a whole file; null when it is not there. @throws CorruptData when it is longer than `limit` bytes */
  readSmall(file: string, limit: number): Promise<Uint8Array | null>;
  /** Opens a file; null when it is not there. */
  open(file: string): Promise<RandomAccess | null>;
};

/** Bytes of one system call, which takes at most 2 GiB. */
const MAX_READ_BYTES = 1 << 26;

/** Returns a folder on disk. */
export function localFolder(directory: string): Folder {
  return {
    name: directory,
    async readSmall(file, limit) {
      const path = join(directory, file);
      const info = await stat(path).catch((cause) => nullIfMissing(path, cause));
      if (info === null) return null;
      if (!info.isFile()) throw new InvalidInput(`${path} must be a file`);
      if (info.size > limit)
        throw new CorruptData(`${path} must be at most ${limit} bytes, got ${info.size}`);
      return readFile(path).catch((cause) => nullIfMissing(path, cause));
    },
    open: (file) => openLocal(join(directory, file)),
  };
}

/** Opens a file on disk; null when it is not there. */
export async function openLocal(path: string): Promise<RandomAccess | null> {
  const handle = await open(path).catch((cause) => nullIfMissing(path, cause));
  if (handle === null) return null;
  const info = await handle.stat();
  if (!info.isFile()) {
    await handle.close();
    throw new InvalidInput(`${path} must be a file`);
  }
  return {
    name: path,
    size: info.size,
    async read(into, position) {
      let done = 0;
      while (done < into.length) {
        const wanted = Math.min(MAX_READ_BYTES, into.length - done);
        const { bytesRead } = await handle.read(into, done, wanted, position + done);
        if (bytesRead === 0) throw new CorruptData(`${path} ends at byte ${position + done}, too early`);
        done += bytesRead;
      }
    },
    close: () => handle.close(),
  };
}

function nullIfMissing(path: string, cause: unknown): null {
  if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
  throw new InvalidInput(`${path} can't be read: ${describe(cause)}`, { cause });
}
