import { at } from "../../protocol/required.ts";
import { ApiError } from "./errors.ts";
import { bytesOf, numberOf, type Row, type Store, textOf } from "./store.ts";

/** The keys to list. They are UTF-8 bytes, and listed in the order of these. */
export type Listing = {
  readonly bucket: string;
  readonly prefix: Buffer;
  readonly delimiter: Buffer;
  /** Only keys from here on. */
  readonly from: Buffer;
  readonly maxKeys: number;
};

export type ListedObject = {
  readonly key: Buffer;
  readonly etag: string;
  readonly size: number;
  readonly modified: number;
};

export type ListedPage = {
  readonly objects: readonly ListedObject[];
  readonly commonPrefixes: readonly Buffer[];
  /** Where the next page starts, when there is one. */
  readonly next: Buffer | undefined;
};

/** Returns the lowest key above every key that starts with `prefix`; undefined when there is none. */
function afterPrefix(prefix: Buffer): Buffer | undefined {
  let end = prefix.length;
  while (end > 0 && prefix[end - 1] === 0xff) end--;
  if (end === 0) return undefined;
  const after = Buffer.from(prefix.subarray(0, end));
  after.writeUInt8(at(after, end - 1, "the last byte of a prefix") + 1, end - 1);
  return after;
}

/** Returns the lowest key above a key. */
export function afterKey(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

const END = Buffer.alloc(1025, 0xff);
// Keys read at a time where prefixes are folded: each fold skips the rest of its prefix.
const FOLDED_BATCH = 16;

/** Lists one page of a bucket in byte order. Keys with the delimiter after the prefix are folded together. */
export function listPage(store: Store, listing: Listing): ListedPage {
  const { prefix, delimiter, maxKeys } = listing;
  const end = afterPrefix(prefix) ?? END;
  const objects: ListedObject[] = [];
  const commonPrefixes: Buffer[] = [];
  let from = Buffer.compare(listing.from, prefix) < 0 ? prefix : listing.from;
  for (;;) {
    const wanted = maxKeys + 1 - objects.length - commonPrefixes.length;
    const limit = delimiter.length > 0 ? Math.min(wanted, FOLDED_BATCH) : wanted;
    const batch = fetchKeys(store, listing.bucket, from, end, limit);
    for (const object of batch) {
      if (objects.length + commonPrefixes.length === maxKeys)
        return { objects, commonPrefixes, next: object.key };
      const folded = commonPrefixOf(object.key, prefix, delimiter);
      if (folded) commonPrefixes.push(folded);
      else objects.push(object);
      from = (folded ? afterPrefix(folded) : afterKey(object.key)) ?? END;
      if (folded) break;
    }
    if (batch.length === 0) return { objects, commonPrefixes, next: undefined };
  }
}

function fetchKeys(store: Store, bucket: string, from: Buffer, end: Buffer, limit: number): ListedObject[] {
  const sql = `SELECT key, etag, size, modified FROM objects
    WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`;
  return store.all(sql, bucket, from, end, limit).map(listedObject);
}

function listedObject(row: Row): ListedObject {
  return {
    key: bytesOf(row, "key"),
    etag: textOf(row, "etag"),
    size: numberOf(row, "size"),
    modified: numberOf(row, "modified"),
  };
}

function commonPrefixOf(key: Buffer, prefix: Buffer, delimiter: Buffer): Buffer | undefined {
  if (delimiter.length === 0) return undefined;
  const offset = key.indexOf(delimiter, prefix.length);
  return offset < 0 ? undefined : key.subarray(0, offset + delimiter.length);
}

/** Writes the key at which a page starts as the opaque token that clients send back. */
export function tokenOf(next: Buffer): string {
  return next.toString("base64url");
}

export function keyOfToken(token: string): Buffer {
  const key = Buffer.from(token, "base64url");
  if (key.length > 0 && tokenOf(key) === token) return key;
  throw new ApiError(400, "InvalidArgument", "The continuation token provided is incorrect");
}
