import { basename } from "node:path";
import type { Buckets } from "../../cloud/buckets.ts";
import type { Store } from "../../cloud/store.ts";
import type { FoundFile, SourceStore } from "../../ml/data/source-file.ts";
import type { RandomAccess } from "../../ml/huggingface/folder.ts";
import { describe, InvalidInput, PsError } from "../../protocol/errors.ts";

/** An object that data is read from. */
export type S3Object = {
  /** s3://bucket/key */
  readonly url: string;
  /** Its key below the prefix that was named; the last part of its key where it was named itself. */
  readonly relative: string;
  readonly given: boolean;
  readonly size: number;
  readonly etag: string;
  open(): RandomAccess;
  /** Fills `into` with its first bytes. */
  readStart(into: Uint8Array): Promise<void>;
};

/** Fetched by one request when bytes are read in order; two such blocks are held. */
const BLOCK_BYTES = 4 << 20;

/** True for a path that names objects of S3. */
export const isS3 = (path: string): boolean => path.startsWith("s3://");

/** The objects of S3 as data to train on. @param open called when the first URL is looked up */
export const s3Source = (open: () => Buckets): SourceStore => ({
  scheme: "s3:",
  find: async (url) => (await findObjects(url, open())).map(sourceFile),
});

/** Every read asks for the ETag, so all that is read is one state of the object. */
function sourceFile({ url, relative, given, size, etag, open, readStart }: S3Object): FoundFile {
  const state = { version: JSON.stringify([url, size, etag]), settled: true, isUnchanged: async () => true };
  const reading = {
    open: async () => open(),
    async readStart(bytes: number) {
      const start = new Uint8Array(Math.min(bytes, size));
      if (start.length > 0) await readStart(start);
      return start;
    },
  };
  return { name: url, path: basename(url), relative, given, bytes: size, ...state, ...reading };
}

/**
 * Finds the object that a URL names, or all objects below it, by key, but none with a name that begins with a dot.
 *
 * @param url s3://bucket/key, s3://bucket/prefix/ or s3://bucket
 * @throws InvalidInput when it names nothing, or can't be read
 */
export async function findObjects(url: string, buckets: Buckets): Promise<S3Object[]> {
  const { bucket, key } = partsOf(url);
  const store = buckets.store(bucket);
  try {
    const isPrefix = key === "" || key.endsWith("/");
    const exact = isPrefix ? null : await store.find(key);
    if (exact) return [s3Object(store, bucket, { ...exact, key, relative: basename(key), given: true })];
    const prefix = isPrefix ? key : `${key}/`;
    const below = (await store.list(prefix)).filter((object) => isData(object.key.slice(prefix.length)));
    if (below.length > 0) {
      return below.map((object) => {
        const relative = object.key.slice(prefix.length);
        return s3Object(store, bucket, { ...object, relative, given: false });
      });
    }
  } catch (cause) {
    throw cannotRead(url, cause);
  }
  const glob = /[*?[\]{}]/.test(key) ? "; s3:// takes a key or a prefix, no glob" : "";
  throw new InvalidInput(`${url} must name an object or have some below it, there is none${glob}`);
}

function partsOf(url: string): { bucket: string; key: string } {
  const { bucket, key = "" } = /^s3:\/\/(?<bucket>[^/]+)\/?(?<key>.*)$/s.exec(url)?.groups ?? {};
  if (bucket === undefined) throw new InvalidInput(`${url} must name a bucket, as in s3://bucket/key`);
  return { bucket, key };
}

/** False for hidden files, and for the empty objects that consoles make for folders. */
const isData = (name: string): boolean =>
  !name.endsWith("/") && !name.split("/").some((part) => part.startsWith("."));

type Listed = Pick<S3Object, "relative" | "given" | "size" | "etag"> & { readonly key: string };

function s3Object(store: Store, bucket: string, { key, relative, given, size, etag }: Listed): S3Object {
  const url = `s3://${bucket}/${key}`;
  const fetch = async (into: Uint8Array, position: number) => {
    try {
      if (await store.getInto(key, position, into, { etag })) return;
    } catch (cause) {
      throw cannotRead(url, cause);
    }
    throw new InvalidInput(`${url} was changed or removed while it was read; try again`);
  };
  const open = () => readAhead({ name: url, size, fetch });
  return { url, relative, given, size, etag, open, readStart: (into) => fetch(into, 0) };
}

type Remote = {
  readonly name: string;
  readonly size: number;
  fetch(into: Uint8Array, position: number): Promise<void>;
};

type Block = { readonly start: number; readonly bytes: Uint8Array; readonly ready: Promise<void> };

/** Reads in order come from blocks that are fetched ahead; large and scattered reads are requests of their own. */
function readAhead({ name, size, fetch }: Remote): RandomAccess {
  let blocks: Block[] = [];
  const block = (index: number): Block => {
    const start = index * BLOCK_BYTES;
    const held = blocks.find((each) => each.start === start);
    if (held) return held;
    const bytes = new Uint8Array(Math.min(BLOCK_BYTES, size - start));
    const ready = fetch(bytes, start);
    // The reader awaits it; a block that is never read may fail.
    ready.catch(() => {});
    return { start, bytes, ready };
  };
  return {
    name,
    size,
    async read(into, position) {
      if (position + into.length > size) throw new InvalidInput(`${name} ends at byte ${size}, too early`);
      if (into.length >= BLOCK_BYTES) return fetch(into, position);
      for (let done = 0; done < into.length; ) {
        const index = Math.floor((position + done) / BLOCK_BYTES);
        const current = block(index);
        const isLast = (index + 1) * BLOCK_BYTES >= size;
        blocks = isLast ? [current] : [current, block(index + 1)];
        await current.ready;
        const from = position + done - current.start;
        const part = current.bytes.subarray(from, Math.min(current.bytes.length, from + into.length - done));
        into.set(part, done);
        done += part.length;
      }
    },
    async close() {
      blocks = [];
    },
  };
}

function cannotRead(url: string, cause: unknown): Error {
  if (cause instanceof PsError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  if (name === "NoSuchBucket") return new InvalidInput(`${url}: there is no such bucket`, { cause });
  const denied = name === "AccessDenied" || name === "Forbidden" || name === "403";
  const credentials = name === "CredentialsProviderError" || denied;
  const hint = credentials ? "; it is read with your AWS credentials (AWS_PROFILE, or aws configure)" : "";
  return new InvalidInput(`${url} can't be read: ${describe(cause)}${hint}`, { cause });
}
