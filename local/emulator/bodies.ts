import { randomUUID } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, statSync, unlink, unlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { CorruptData } from "../../protocol/errors.ts";
import { required } from "../../protocol/required.ts";
import { Digest, type Incoming, incomplete } from "./body-digest.ts";
import { type DiskSpace, SMALL_BODY_BYTES } from "./disk-space.ts";
import { asApiError } from "./errors.ts";

const READ_BYTES = 1024 * 1024;
/** What arrives on a socket is gathered to about this size before it is written. */
const WRITE_BYTES = 1024 * 1024;

/** A file with some of an object's bytes. */
export type Segment = { readonly file: string; readonly size: number };

/** A body as received: its digests, and its bytes (`inline`, or in files of the bodies folder). */
export type Body = {
  readonly size: number;
  /** The MD5 of a small body. That of a large one is random: S3 does not promise an MD5 there either. */
  readonly etag: string;
  readonly crc32: string;
  readonly inline: Buffer | null;
  readonly files: readonly Segment[];
};

/**
 * Bodies of objects, as files. A file's name is random and used once, so writing one never harms another. A database row
 * that names the file commits it; the next start removes the files that no row names.
 */
export class Bodies {
  readonly #folder: string;
  readonly #space: DiskSpace;
  readonly #readers = new Map<string, number>();
  /** Files to remove once nobody reads them. */
  readonly #unneeded = new Set<string>();

  constructor(folder: string, space: DiskSpace) {
    this.#folder = folder;
    this.#space = space;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Receives and verifies a body: a small one into memory, another into a file. A failure leaves nothing. */
  async receive(incoming: Incoming, smallBytes = SMALL_BODY_BYTES): Promise<Body> {
    const small = incoming.size <= smallBytes;
    const digest = new Digest(incoming, small);
    if (small) {
      const inline = await collect(incoming.chunks, digest, incoming.size);
      return { ...digest.verified(incoming), inline, files: [] };
    }
    const file = randomUUID();
    try {
      await this.#write(file, incoming, digest);
      return { ...digest.verified(incoming), inline: null, files: [{ file, size: incoming.size }] };
    } catch (error) {
      this.remove([{ file, size: 0 }]);
      throw asApiError(error, this.#folder);
    }
  }

  /**
   * Streams the bytes from `start` up to but not including `end`, even when they are removed meanwhile. Throws
   * CorruptData at once when a file of them is missing or too short.
   */
  read(segments: readonly Segment[], start: number, end: number): Readable {
    const slices = slicesOf(segments, start, end);
    for (const { file, size } of slices) this.#requireWhole(file, size);
    for (const { file } of slices) this.#readers.set(file, (this.#readers.get(file) ?? 0) + 1);
    const stream = Readable.from(this.#chunks(slices), { objectMode: false });
    stream.once("close", () => {
      for (const { file } of slices) this.#release(file);
    });
    return stream;
  }

  /** Removes files that no row names any more, once nobody reads them. What fails or is cut short, the next sweep does. */
  remove(segments: readonly Segment[]): void {
    for (const { file } of segments) {
      if (this.#readers.has(file)) this.#unneeded.add(file);
      else unlink(join(this.#folder, file), () => {});
    }
  }

  /** Removes all files but the named ones: a process that was killed left them. */
  sweep(named: ReadonlySet<string>): void {
    for (const file of readdirSync(this.#folder)) if (!named.has(file)) unlinkSync(join(this.#folder, file));
  }

  async *#chunks(slices: readonly Slice[]): AsyncGenerator<Buffer> {
    for (const { file, from, to } of slices) {
      yield* createReadStream(join(this.#folder, file), {
        start: from,
        end: to - 1,
        highWaterMark: READ_BYTES,
      });
    }
  }

  /** Without this check a damaged file would break the answer off in the middle, which clients take for an outage. */
  #requireWhole(file: string, size: number): void {
    const path = join(this.#folder, file);
    const stored = statSync(path, { throwIfNoEntry: false });
    if (!stored) throw new CorruptData(`its file ${path} is missing`);
    if (stored.size < size) throw new CorruptData(`its file ${path} has ${stored.size} of ${size} bytes`);
  }

  #release(file: string): void {
    const readers = required(this.#readers.get(file), `the number of readers of ${file}`) - 1;
    if (readers > 0) this.#readers.set(file, readers);
    else this.#readers.delete(file);
    if (readers === 0 && this.#unneeded.delete(file)) this.remove([{ file, size: 0 }]);
  }

  async #write(file: string, incoming: Incoming, digest: Digest): Promise<void> {
    let outstanding = incoming.size;
    await this.#space.reserve(outstanding);
    try {
      const handle = await open(join(this.#folder, file), "wx", 0o600);
      try {
        await writeAll(handle, incoming, digest, (bytes) => {
          outstanding -= bytes;
          this.#space.release(bytes);
        });
        await handle.sync();
      } finally {
        await handle.close();
      }
    } finally {
      this.#space.release(outstanding);
    }
    await syncFolder(this.#folder);
  }
}

async function collect(source: AsyncIterable<Uint8Array>, digest: Digest, size: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) {
    digest.update(chunk);
    if (digest.size > size) throw incomplete(size, digest.size);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Groups chunks until a group has at least `bytes`; the last one may have fewer. */
async function* groups(chunks: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array[]> {
  let group: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    group.push(chunk);
    size += chunk.length;
    if (size < bytes) continue;
    yield group;
    [group, size] = [[], 0];
  }
  if (group.length > 0) yield group;
}

/** @param onBytes is called with the size of each group before it is written */
async function writeAll(
  handle: FileHandle,
  { size, chunks: incoming }: Incoming,
  digest: Digest,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let writing: Promise<void> = Promise.resolve();
  let outstanding = size;
  for await (const chunks of groups(incoming, WRITE_BYTES)) {
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    for (const chunk of chunks) digest.update(chunk);
    await writing;
    outstanding -= bytes;
    onBytes(bytes);
    if (outstanding < 0) throw incomplete(size, digest.size);
    writing = handle.writeFile(Buffer.concat(chunks));
    // It is awaited above or below; without this, a failure in between would count as unhandled.
    writing.catch(() => {});
  }
  await writing;
}

// A new file's name is durable only once its folder is synced too.
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

type Slice = Segment & { readonly from: number; readonly to: number };

function slicesOf(segments: readonly Segment[], start: number, end: number): Slice[] {
  const slices: Slice[] = [];
  let offset = 0;
  for (const { file, size } of segments) {
    const from = Math.max(start - offset, 0);
    const to = Math.min(end - offset, size);
    if (from < to) slices.push({ file, size, from, to });
    offset += size;
  }
  return slices;
}
