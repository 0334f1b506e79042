import { z } from "zod";
import type { Segment } from "./bodies.ts";
import { ApiError, notImplemented } from "./errors.ts";
import { bytesOf, jsonOf, numberOf, type Row, type Store, textOf } from "./store.ts";

/** A bucket and a key in it. */
export type ObjectAddress = { readonly bucket: string; readonly key: Buffer };

/** An object as stored. `crc32` is null when it was made of parts. */
export type StoredObject = {
  readonly etag: string;
  readonly size: number;
  readonly modified: number;
  readonly type: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly crc32: string | null;
  readonly files: readonly Segment[];
  readonly inline: Buffer | null;
};

/** Conditions of a write on the object that is there: `*` for any, or an ETag without quotes. */
export type Condition = { readonly ifMatch: string | undefined; readonly ifNoneMatch: string | undefined };

export const UNCONDITIONAL: Condition = { ifMatch: undefined, ifNoneMatch: undefined };

export function requireBucket(store: Store, bucket: string): void {
  if (store.get("SELECT 1 FROM buckets WHERE name = ?", bucket)) return;
  throw new ApiError(404, "NoSuchBucket", `There is no bucket ${bucket}`);
}

export function noSuchKey(): ApiError {
  return new ApiError(404, "NoSuchKey", "The specified key does not exist.");
}

export function preconditionFailed(): ApiError {
  return new ApiError(
    412,
    "PreconditionFailed",
    "At least one of the pre-conditions you specified did not hold",
  );
}

/** Finds the object at an address; null when there is none. */
export function findObject(store: Store, { bucket, key }: ObjectAddress): StoredObject | null {
  const row = store.get("SELECT * FROM objects WHERE bucket = ? AND key = ?", bucket, key);
  return row ? storedObject(row) : null;
}

export const metadata = z.record(z.string(), z.string());
const segments = z.array(z.object({ file: z.string(), size: z.number() }));

function storedObject(row: Row): StoredObject {
  return {
    etag: textOf(row, "etag"),
    size: numberOf(row, "size"),
    modified: numberOf(row, "modified"),
    type: textOf(row, "type"),
    meta: jsonOf(row, "meta", metadata),
    crc32: row.crc32 === null ? null : textOf(row, "crc32"),
    files: filesOf(row),
    inline: row.inline === null ? null : bytesOf(row, "inline"),
  };
}

function filesOf(row: Row): Segment[] {
  return jsonOf(row, "files", segments);
}

/**
 * Creates or replaces an object, inside a transaction; returns the files that it no longer needs. Throws 412 when the
 * condition does not hold, 404 when `ifMatch` finds no object.
 */
export function putObject(
  store: Store,
  at: ObjectAddress,
  object: StoredObject,
  condition: Condition,
): readonly Segment[] {
  requireBucket(store, at.bucket);
  const replaced = requireCondition(store, at, condition);
  store.change(
    `INSERT INTO objects (bucket, key, etag, size, modified, type, meta, crc32, files, inline)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET etag = excluded.etag,
     size = excluded.size, modified = excluded.modified, type = excluded.type, meta = excluded.meta,
     crc32 = excluded.crc32, files = excluded.files, inline = excluded.inline`,
    at.bucket,
    at.key,
    object.etag,
    object.size,
    object.modified,
    object.type,
    JSON.stringify(object.meta),
    object.crc32,
    JSON.stringify(object.files),
    object.inline,
  );
  return replaced;
}

/** Removes an object if it is there, inside a transaction; returns its files. */
export function deleteObject(store: Store, at: ObjectAddress, condition: Condition): readonly Segment[] {
  requireBucket(store, at.bucket);
  const files = requireCondition(store, at, condition);
  store.change("DELETE FROM objects WHERE bucket = ? AND key = ?", at.bucket, at.key);
  return files;
}

function requireCondition(
  store: Store,
  at: ObjectAddress,
  { ifMatch, ifNoneMatch }: Condition,
): readonly Segment[] {
  const row = store.get("SELECT etag, files FROM objects WHERE bucket = ? AND key = ?", at.bucket, at.key);
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*")
    throw notImplemented("If-None-Match with an ETag on a write");
  if (ifNoneMatch === "*" && row) throw preconditionFailed();
  if (ifMatch !== undefined && !row) throw noSuchKey();
  if (ifMatch !== undefined && ifMatch !== "*" && row && textOf(row, "etag") !== ifMatch)
    throw preconditionFailed();
  return row ? filesOf(row) : [];
}

/** Returns the names of all files that objects and unfinished uploads need. */
export function namedFiles(store: Store): Set<string> {
  const objects = store.all("SELECT files FROM objects WHERE files <> '[]'").flatMap(filesOf);
  const parts = store.all("SELECT file FROM parts").map((row) => textOf(row, "file"));
  return new Set([...objects.map(({ file }) => file), ...parts]);
}
