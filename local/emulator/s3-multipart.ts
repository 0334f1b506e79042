import { createHash, randomUUID } from "node:crypto";
import { Bug } from "../../protocol/errors.ts";
import type { Body, Segment } from "./bodies.ts";
import { ApiError } from "./errors.ts";
import { type Condition, metadata, type ObjectAddress, putObject, requireBucket } from "./s3-objects.ts";
import { elementsOf, textIn } from "./s3-xml.ts";
import { bytesOf, jsonOf, numberOf, type Row, type Store, textOf } from "./store.ts";

const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

/** An unfinished upload. */
export type Upload = { readonly id: string; readonly key: Buffer; readonly started: number };

/** A part as CompleteMultipartUpload names it. */
export type NamedPart = {
  readonly number: number;
  readonly etag: string;
  readonly crc32: string | undefined;
};

type NewUpload = ObjectAddress & {
  readonly now: number;
  readonly type: string;
  readonly meta: Readonly<Record<string, string>>;
};

/** Starts an upload, inside a transaction; returns its id. */
export function createUpload(store: Store, { bucket, key, now, type, meta }: NewUpload): string {
  requireBucket(store, bucket);
  const id = randomUUID();
  const sql = "INSERT INTO uploads (id, bucket, key, started, type, meta) VALUES (?, ?, ?, ?, ?, ?)";
  store.change(sql, id, bucket, key, now, type, JSON.stringify(meta));
  return id;
}

/** Returns the row of an unfinished upload of this object. Throws 404 when there is none. */
export function requireUpload(store: Store, { bucket, key }: ObjectAddress, id: string): Row {
  const row = store.get("SELECT * FROM uploads WHERE id = ? AND bucket = ? AND key = ?", id, bucket, key);
  if (row) return row;
  throw new ApiError(
    404,
    "NoSuchUpload",
    "The upload does not exist: it was completed, aborted or never started",
  );
}

export function partNumberOf(text: string | null): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= MAX_PARTS) return number;
  throw new ApiError(400, "InvalidArgument", `partNumber must be between 1 and ${MAX_PARTS}, got ${text}`);
}

export type UploadedPart = {
  readonly upload: string;
  readonly number: number;
  readonly body: Body;
  readonly now: number;
};

/** Records a part whose body is stored, inside a transaction; returns the files of the part that it replaces. */
export function putPart(
  store: Store,
  at: ObjectAddress,
  { upload, number, body, now }: UploadedPart,
): Segment[] {
  requireUpload(store, at, upload);
  const replaced = store.get("SELECT file, size FROM parts WHERE upload = ? AND number = ?", upload, number);
  const [segment] = body.files;
  if (!segment) throw new Bug("a part's body must be in a file");
  const sql =
    "INSERT OR REPLACE INTO parts (upload, number, etag, crc32, size, modified, file) VALUES (?, ?, ?, ?, ?, ?, ?)";
  store.change(sql, upload, number, body.etag, body.crc32, body.size, now, segment.file);
  return replaced ? [segmentOf(replaced)] : [];
}

/** Ends an upload, inside a transaction; returns the files of its parts. */
export function dropUpload(store: Store, at: ObjectAddress, id: string): Segment[] {
  requireUpload(store, at, id);
  const files = store.all("SELECT file, size FROM parts WHERE upload = ?", id).map(segmentOf);
  store.change("DELETE FROM parts WHERE upload = ?", id);
  store.change("DELETE FROM uploads WHERE id = ?", id);
  return files;
}

/** Returns the parts that a CompleteMultipartUpload document names. */
export function parseParts(xml: string): NamedPart[] {
  const parts = elementsOf(xml, "Part").map((part) => ({
    number: partNumberOf(textIn(part, "PartNumber") ?? null),
    etag: etagIn(part),
    crc32: textIn(part, "ChecksumCRC32"),
  }));
  if (parts.length === 0)
    throw new ApiError(400, "MalformedXML", "CompleteMultipartUpload must name at least one part");
  return parts;
}

function etagIn(part: string): string {
  const etag = textIn(part, "ETag");
  if (etag === undefined) throw new ApiError(400, "MalformedXML", "A part must have an ETag");
  return etag.replaceAll('"', "");
}

export type Completion = {
  readonly upload: string;
  readonly parts: readonly NamedPart[];
  readonly condition: Condition;
  readonly now: number;
};

/** Makes an object of an upload's parts, inside a transaction; returns its ETag and the files no longer needed. */
export function completeUpload(
  store: Store,
  at: ObjectAddress,
  { upload, parts, condition, now }: Completion,
) {
  const row = requireUpload(store, at, upload);
  const stored = parts.map((part, i) => storedPart(store, upload, part, i === parts.length - 1));
  requireAscending(parts);
  const files = stored.map(segmentOf);
  const digests = stored.map((part) => Buffer.from(textOf(part, "etag"), "hex"));
  const etag = `${createHash("md5").update(Buffer.concat(digests)).digest("hex")}-${parts.length}`;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const meta = jsonOf(row, "meta", metadata);
  const object = {
    etag,
    size,
    modified: now,
    type: textOf(row, "type"),
    meta,
    crc32: null,
    files,
    inline: null,
  };
  const replaced = putObject(store, at, object, condition);
  const kept = new Set(files.map(({ file }) => file));
  const unused = dropUpload(store, at, upload).filter(({ file }) => !kept.has(file));
  return { etag, unneeded: [...replaced, ...unused] };
}

function storedPart(store: Store, upload: string, part: NamedPart, last: boolean): Row {
  const row = store.get("SELECT * FROM parts WHERE upload = ? AND number = ?", upload, part.number);
  const same = row && textOf(row, "etag") === part.etag && (part.crc32 ?? row.crc32) === row.crc32;
  if (!row || !same)
    throw new ApiError(
      400,
      "InvalidPart",
      `Part ${part.number} was not uploaded, or not with this ETag and checksum`,
    );
  if (!last && numberOf(row, "size") < MIN_PART_BYTES)
    throw new ApiError(
      400,
      "EntityTooSmall",
      `Part ${part.number} has less than ${MIN_PART_BYTES} bytes and is not the last`,
    );
  return row;
}

function requireAscending(parts: readonly NamedPart[]): void {
  let last = 0;
  for (const { number } of parts) {
    if (number <= last)
      throw new ApiError(400, "InvalidPartOrder", "The parts must be listed in ascending order");
    last = number;
  }
}

function segmentOf(row: Row): Segment {
  return { file: textOf(row, "file"), size: numberOf(row, "size") };
}

/** Returns the unfinished uploads of keys with a prefix, the oldest of each key first. */
export function listUploads(store: Store, bucket: string, prefix: string): Upload[] {
  requireBucket(store, bucket);
  const rows = store.all(
    "SELECT id, key, started FROM uploads WHERE bucket = ? ORDER BY key, started",
    bucket,
  );
  return rows
    .map((row) => ({ id: textOf(row, "id"), key: bytesOf(row, "key"), started: numberOf(row, "started") }))
    .filter(({ key }) => key.toString().startsWith(prefix));
}

/** A part as it was stored. */
export type StoredPart = {
  readonly number: number;
  readonly etag: string;
  readonly crc32: string;
  readonly size: number;
  readonly modified: number;
};

/** Returns the parts of an unfinished upload with a number above `after`, in order. */
export function listStoredParts(store: Store, at: ObjectAddress, id: string, after: number): StoredPart[] {
  requireUpload(store, at, id);
  const rows = store.all("SELECT * FROM parts WHERE upload = ? AND number > ? ORDER BY number", id, after);
  return rows.map((row) => ({
    number: numberOf(row, "number"),
    etag: textOf(row, "etag"),
    crc32: textOf(row, "crc32"),
    size: numberOf(row, "size"),
    modified: numberOf(row, "modified"),
  }));
}
