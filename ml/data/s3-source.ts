import type { Buckets } from "../../cloud/buckets.ts";
import type { Store } from "../../cloud/store.ts";
import { describe, InvalidInput, PsError } from "../../protocol/errors.ts";
import type { RandomAccess } from "../huggingface/folder.ts";

/** An object that data is read from. */
export type S3Object = {
  /** s3://bucket/key */
  readonly url: string;
  readonly size: number;
  readonly etag: string;
  open(): RandomAccess;
};

/** What one request fetches when bytes are read in order; two of them are held. */
const AHEAD_BYTES = 4 << 20;

export const isS3 = (path: string): boolean => path.startsWith("s3://");

/**
 * The object that a URL names, or all objects below it, by key, but none with a name that begins with a dot.
 *
 * @param url s3://bucket/key, s3://bucket/prefix/ or s3://bucket
 * @throws InvalidInput when it names nothing, or can't be read
 */
export async function findObjects(url: string, buckets: Buckets): Promise<S3Object[]> {
  const [, bucket = "", key = ""] = /^s3:\/\/([^/]*)\/?(.*)$/.exec(url) ?? [];
  if (bucket === "") throw new InvalidInput(`${url} must name a bucket, as in s3://bucket/key`);
  const store = buckets.store(bucket);
  try {
    const objectOf = (name: string, { size, etag }: Pick<S3Object, "size" | "etag">) =>
      s3Object(store, bucket, name, size, etag);
    const exact = key === "" || key.endsWith("/") ? null : await store.find(key);
    if (exact) return [objectOf(key, exact)];
    const prefix = key === "" || key.endsWith("/") ? key : `${key}/`;
    const below = (await store.list(prefix)).filter(({ key: found }) => isData(found.slice(prefix.length)));
    if (below.length > 0) return below.map((found) => objectOf(found.key, found));
  } catch (cause) {
    throw unreadable(url, cause);
  }
  const glob = /[*?[\]{}]/.test(key) ? "; s3:// takes a key or a prefix, no glob" : "";
  throw new InvalidInput(`${url} must name an object or have some below it, there is none${glob}`);
}

/** Consoles make an empty object for a folder. */
const isData = (name: string): boolean =>
  !name.endsWith("/") && !name.split("/").some((part) => part.startsWith("."));

function s3Object(store: Store, bucket: string, key: string, size: number, etag: string): S3Object {
  const url = `s3://${bucket}/${key}`;
  const fetch = async (into: Uint8Array, position: number) => {
    try {
      if (await store.getInto(key, position, into, etag)) return;
    } catch (cause) {
      throw unreadable(url, cause);
    }
    throw new InvalidInput(`${url} was changed or removed while it was read; try again`);
  };
  return { url, size, etag, open: () => readAhead({ name: url, size, fetch }) };
}

type Remote = {
  readonly name: string;
  readonly size: number;
  fetch(into: Uint8Array, position: number): Promise<void>;
};

type Block = { readonly at: number; readonly bytes: Uint8Array; readonly ready: Promise<void> };

/** Reads in order come from blocks that are fetched ahead; large and scattered reads are requests of their own. */
function readAhead({ name, size, fetch }: Remote): RandomAccess {
  let blocks: Block[] = [];
  const block = (index: number): Block => {
    const at = index * AHEAD_BYTES;
    const known = blocks.find((held) => held.at === at);
    if (known) return known;
    const bytes = new Uint8Array(Math.min(AHEAD_BYTES, size - at));
    const ready = fetch(bytes, at);
    // Awaited by who reads it; a block that nobody reads may fail.
    ready.catch(() => {});
    return { at, bytes, ready };
  };
  return {
    name,
    size,
    async read(into, position) {
      if (position + into.length > size) throw new InvalidInput(`${name} ends at byte ${size}, too early`);
      if (into.length >= AHEAD_BYTES) return fetch(into, position);
      for (let done = 0; done < into.length; ) {
        const index = Math.floor((position + done) / AHEAD_BYTES);
        const isNext = (index + 1) * AHEAD_BYTES < size;
        blocks = isNext ? [block(index), block(index + 1)] : [block(index)];
        const [{ at, bytes, ready }] = blocks as [Block];
        await ready;
        const from = position + done - at;
        const part = bytes.subarray(from, Math.min(bytes.length, from + into.length - done));
        into.set(part, done);
        done += part.length;
      }
    },
    async close() {
      blocks = [];
    },
  };
}

function unreadable(url: string, cause: unknown): Error {
  if (cause instanceof PsError) return cause;
  const name = cause instanceof Error ? cause.name : "";
  if (name === "NoSuchBucket") return new InvalidInput(`${url}: there is no such bucket`, { cause });
  const denied = name === "AccessDenied" || name === "Forbidden" || name === "403";
  const credentials = name === "CredentialsProviderError" || denied;
  const hint = credentials ? "; it is read with your AWS credentials (AWS_PROFILE, or aws configure)" : "";
  return new InvalidInput(`${url} can't be read: ${describe(cause)}${hint}`, { cause });
}
