import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32 } from "node:zlib";
import { CorruptData } from "../../protocol/errors.ts";
import type { Bodies } from "./bodies.ts";
import { ApiError, notImplemented } from "./errors.ts";
import {
  deleteObject,
  findObject,
  noSuchKey,
  preconditionFailed,
  putObject,
  requireBucket,
  type StoredObject,
  UNCONDITIONAL,
} from "./s3-objects.ts";
import {
  answer,
  answerXml,
  commit,
  documentOf,
  type Headers,
  metaOf,
  type S3,
  typeOf,
  writeConditionOf,
} from "./s3-operation.ts";
import { conditionOf, headerOf, incomingOf, type S3Request } from "./s3-request.ts";
import { elementsOf, textIn } from "./s3-xml.ts";
import type { Store } from "./store.ts";

/** CreateBucket: a bucket that is there already belongs to the caller. */
export async function createBucket(
  { store }: S3,
  { bucket }: S3Request,
  response: ServerResponse,
): Promise<void> {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw new ApiError(400, "InvalidBucketName", `Not a bucket name: ${bucket}`);
  await store.write(() => store.change("INSERT OR IGNORE INTO buckets (name) VALUES (?)", bucket));
  answer(response, 200, { location: `/${bucket}` }, "");
}

/** HeadBucket: answers 200 when the bucket is there. */
export function headBucket({ store }: S3, { bucket }: S3Request, response: ServerResponse): void {
  requireBucket(store, bucket);
  answer(response, 200, { "x-amz-bucket-region": "us-east-1" });
}

/** PutObject: stores the body, then the row that names it, if the conditions hold. */
export async function putOne(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  requireBucket(store, request.bucket);
  const body = await bodies.receive(incomingOf(request));
  const { etag, size, crc32, files, inline } = body;
  const type = typeOf(request);
  const object = { etag, size, modified: s3.now(), type, meta: metaOf(request), crc32, files, inline };
  const unneeded = await commit(s3, body, () => putObject(store, request, object, writeConditionOf(request)));
  bodies.remove(unneeded);
  answer(response, 200, { etag: `"${etag}"`, "x-amz-checksum-crc32": crc32 }, "");
}

function readable(store: Store, request: S3Request): StoredObject {
  requireBucket(store, request.bucket);
  const object = findObject(store, request);
  if (!object) throw noSuchKey();
  const ifMatch = conditionOf(request, "if-match");
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== object.etag) throw preconditionFailed();
  const ifNoneMatch = conditionOf(request, "if-none-match");
  if (ifNoneMatch === "*" || ifNoneMatch === object.etag)
    throw new ApiError(304, "NotModified", "Not modified");
  return object;
}

function headersOf(object: StoredObject): Headers {
  return {
    "accept-ranges": "bytes",
    "content-type": object.type,
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.modified).toUTCString(),
    ...object.meta,
  };
}

const asksForChecksum = (request: S3Request): boolean =>
  headerOf(request, "x-amz-checksum-mode")?.toUpperCase() === "ENABLED";

function checksumOf(object: StoredObject, request: S3Request): Headers {
  if (!asksForChecksum(request) || object.crc32 === null) return {};
  return { "x-amz-checksum-crc32": object.crc32, "x-amz-checksum-type": "FULL_OBJECT" };
}

/** HeadObject: the headers that GetObject would answer with. */
export function headObject({ store }: S3, request: S3Request, response: ServerResponse): void {
  const object = readable(store, request);
  if (headerOf(request, "range")) throw notImplemented("HeadObject with Range");
  answer(response, 200, {
    ...headersOf(object),
    ...checksumOf(object, request),
    "content-length": object.size,
  });
}

/** GetObject: the whole body or one range of it. */
export async function getObject(
  { store, bodies }: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  const object = readable(store, request);
  const range = rangeOf(headerOf(request, "range"), object.size);
  const [start, end] = range ?? [0, object.size];
  const extra = range
    ? { "content-range": `bytes ${start}-${end - 1}/${object.size}` }
    : checksumOf(object, request);
  const headers: Headers = { ...headersOf(object), ...extra, "content-length": end - start };
  if (object.inline) return answer(response, range ? 206 : 200, headers, object.inline.subarray(start, end));
  const body = openBody(bodies, object, request, [start, end]);
  // S3 has no checksum of a range; it has TLS.
  if (range && asksForChecksum(request))
    headers["x-amz-crc32"] = await crcOf(openBody(bodies, object, request, [start, end]));
  response.writeHead(range ? 206 : 200, headers);
  await pipeline(body, response);
}

async function crcOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let crc = 0;
  for await (const chunk of body) crc = crc32(chunk, crc);
  return crc;
}

/** Opens the body of an object. Throws 422 with the object's key when its file is damaged. */
function openBody(
  bodies: Bodies,
  { files }: StoredObject,
  { key }: S3Request,
  [start, end]: readonly [number, number],
): Readable {
  try {
    return bodies.read(files, start, end);
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    throw new ApiError(422, "CorruptObject", `${key} is damaged: ${error.message}`, { cause: error });
  }
}

/** Returns the first byte of a Range header and the one after its last; undefined for all bytes, also where S3 ignores the header. */
function rangeOf(header: string | undefined, size: number): readonly [number, number] | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  const start = first === "" ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(Number(last) + 1, size);
  if (start < end) return [start, end];
  throw new ApiError(416, "InvalidRange", `The range ${header} is not within the object's ${size} bytes`);
}

/** DeleteObject: an object that is not there is no error. */
export async function deleteOne(
  { store, bodies }: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  bodies.remove(await store.write(() => deleteObject(store, request, writeConditionOf(request))));
  answer(response, 204, {});
}

function keyIn(object: string): string {
  const key = textIn(object, "Key");
  if (key === undefined)
    throw new ApiError(400, "MalformedXML", "An object of DeleteObjects must have a Key");
  return key;
}

/** DeleteObjects: all of them or none. */
export async function deleteMany(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  const xml = await documentOf(s3, request);
  const keys = elementsOf(xml, "Object").map(keyIn);
  if (keys.length === 0 || keys.length > 1000)
    throw new ApiError(400, "MalformedXML", `DeleteObjects takes 1 to 1000 keys, got ${keys.length}`);
  const remove = (key: string) =>
    deleteObject(store, { bucket: request.bucket, key: Buffer.from(key) }, UNCONDITIONAL);
  bodies.remove(await store.write(() => keys.flatMap(remove)));
  const quiet = textIn(xml, "Quiet") === "true";
  answerXml(response, "DeleteResult", quiet ? {} : { Deleted: keys.map((Key) => ({ Key })) });
}
