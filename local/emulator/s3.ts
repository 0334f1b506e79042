import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Bodies, Body } from "./bodies.ts";
import { ApiError, notImplemented } from "./errors.ts";
import { afterKey, keyOfToken, listPage, tokenOf } from "./s3-list.ts";
import {
  completeUpload,
  createUpload,
  dropUpload,
  listUploads,
  parseParts,
  partNumberOf,
  putPart,
  requireUpload,
} from "./s3-multipart.ts";
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
import { conditionOf, headerOf, incomingOf, parseS3Request, type S3Request } from "./s3-request.ts";
import { elementsOf, textIn, type Xml, xmlDocument } from "./s3-xml.ts";
import type { Store } from "./store.ts";

/** What S3 works on. */
export type S3 = { readonly store: Store; readonly bodies: Bodies; readonly now: () => number };

type Headers = Record<string, string | number>;
type Operation = (s3: S3, request: S3Request, response: ServerResponse) => Promise<void> | void;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  AbortMultipartUpload: abortMultipartUpload,
  CompleteMultipartUpload: completeMultipartUpload,
  CreateBucket: createBucket,
  CreateMultipartUpload: createMultipartUpload,
  DeleteObject: deleteOne,
  DeleteObjects: deleteMany,
  GetObject: getObject,
  HeadBucket: headBucket,
  HeadObject: headObject,
  ListMultipartUploads: listMultipartUploads,
  ListObjectsV2: listObjects,
  PutObject: putOne,
  UploadPart: uploadPart,
};

/** Answers an S3 request. */
export async function handleS3(s3: S3, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const request = parseS3Request(message);
  const operation = OPERATIONS[request.operation];
  if (!operation) throw notImplemented(request.operation);
  await operation(s3, request, response);
}

/** Answers with an error as S3 words it. */
export function answerS3Error(response: ServerResponse, error: ApiError, head: boolean): void {
  const fields = { Code: error.code, Message: error.message, RequestId: randomUUID() };
  const body = head || error.status === 304 ? undefined : xmlDocument("Error", fields);
  answer(response, error.status, body === undefined ? {} : { "content-type": "application/xml" }, body);
}

function answer(response: ServerResponse, status: number, headers: Headers, body?: string | Buffer): void {
  const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  response.writeHead(status, { ...length, ...headers });
  response.end(body);
}

function answerXml(response: ServerResponse, name: string, value: Xml): void {
  answer(response, 200, { "content-type": "application/xml" }, xmlDocument(name, value));
}

async function createBucket({ store }: S3, { bucket }: S3Request, response: ServerResponse): Promise<void> {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw new ApiError(400, "InvalidBucketName", `Not a bucket name: ${bucket}`);
  await store.write(() => store.change("INSERT OR IGNORE INTO buckets (name) VALUES (?)", bucket));
  answer(response, 200, { location: `/${bucket}` }, "");
}

function headBucket({ store }: S3, { bucket }: S3Request, response: ServerResponse): void {
  requireBucket(store, bucket);
  answer(response, 200, { "x-amz-bucket-region": "us-east-1" });
}

const DEFAULT_TYPE = "application/octet-stream";

function metaOf(request: S3Request): Record<string, string> {
  const names = Object.keys(request.headers).filter((name) => name.startsWith("x-amz-meta-"));
  return Object.fromEntries(names.map((name) => [name, headerOf(request, name) ?? ""]));
}

function writeConditionOf(request: S3Request) {
  return { ifMatch: conditionOf(request, "if-match"), ifNoneMatch: conditionOf(request, "if-none-match") };
}

async function putOne(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  requireBucket(store, request.bucket);
  const body = await bodies.receive(incomingOf(request));
  const { md5: etag, size, crc32, files, inline } = body;
  const type = headerOf(request, "content-type") ?? DEFAULT_TYPE;
  const object = { etag, size, modified: s3.now(), type, meta: metaOf(request), crc32, files, inline };
  const unneeded = await commit(s3, body, () => putObject(store, request, object, writeConditionOf(request)));
  bodies.remove(unneeded);
  answer(response, 200, { etag: `"${etag}"`, "x-amz-checksum-crc32": crc32 }, "");
}

/** Commits the row that names a body; without it the body is removed again. */
async function commit<T>({ store, bodies }: S3, body: Body, operation: () => T): Promise<T> {
  try {
    return await store.write(operation);
  } catch (error) {
    bodies.remove(body.files);
    throw error;
  }
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

function checksumOf(object: StoredObject, request: S3Request): Headers {
  const asked = headerOf(request, "x-amz-checksum-mode")?.toUpperCase() === "ENABLED";
  if (!asked || object.crc32 === null) return {};
  return { "x-amz-checksum-crc32": object.crc32, "x-amz-checksum-type": "FULL_OBJECT" };
}

function headObject({ store }: S3, request: S3Request, response: ServerResponse): void {
  const object = readable(store, request);
  if (headerOf(request, "range")) throw notImplemented("HeadObject with Range");
  answer(response, 200, {
    ...headersOf(object),
    ...checksumOf(object, request),
    "content-length": object.size,
  });
}

async function getObject({ store, bodies }: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const object = readable(store, request);
  const range = rangeOf(headerOf(request, "range"), object.size);
  const [start, end] = range ?? [0, object.size];
  const extra = range
    ? { "content-range": `bytes ${start}-${end - 1}/${object.size}` }
    : checksumOf(object, request);
  const headers = { ...headersOf(object), ...extra, "content-length": end - start };
  if (object.inline) return answer(response, range ? 206 : 200, headers, object.inline.subarray(start, end));
  response.writeHead(range ? 206 : 200, headers);
  await pipeline(bodies.read(object.files, start, end), response);
}

/** The first byte and the one after the last of a Range header; undefined for the whole, as for headers S3 ignores. */
function rangeOf(header: string | undefined, size: number): readonly [number, number] | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  const start = first === "" ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(Number(last) + 1, size);
  if (start < end) return [start, end];
  throw new ApiError(416, "InvalidRange", `The range ${header} is not within the object's ${size} bytes`);
}

async function deleteOne({ store, bodies }: S3, request: S3Request, response: ServerResponse): Promise<void> {
  bodies.remove(await store.write(() => deleteObject(store, request, writeConditionOf(request))));
  answer(response, 204, {});
}

const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

async function documentOf({ bodies }: S3, request: S3Request): Promise<string> {
  const incoming = incomingOf(request);
  if (incoming.size > MAX_DOCUMENT_BYTES)
    throw new ApiError(
      400,
      "MaxMessageLengthExceeded",
      `A request document has at most ${MAX_DOCUMENT_BYTES} bytes`,
    );
  const { inline } = await bodies.receive(incoming, MAX_DOCUMENT_BYTES);
  return inline?.toString() ?? "";
}

async function deleteMany(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  const xml = await documentOf(s3, request);
  const keys = elementsOf(xml, "Object").map((object) => textIn(object, "Key") ?? "");
  if (keys.length === 0 || keys.length > 1000)
    throw new ApiError(400, "MalformedXML", `DeleteObjects takes 1 to 1000 keys, got ${keys.length}`);
  const remove = (key: string) =>
    deleteObject(store, { bucket: request.bucket, key: Buffer.from(key) }, UNCONDITIONAL);
  bodies.remove(await store.write(() => keys.flatMap(remove)));
  const quiet = textIn(xml, "Quiet") === "true";
  answerXml(response, "DeleteResult", quiet ? {} : { Deleted: keys.map((Key) => ({ Key })) });
}

function listObjects({ store }: S3, request: S3Request, response: ServerResponse): void {
  const { query, bucket } = request;
  if (query.get("list-type") !== "2") throw notImplemented("ListObjects");
  requireBucket(store, bucket);
  const parameter = (name: string) => query.get(name) ?? "";
  const token = query.get("continuation-token");
  const startAfter = Buffer.from(parameter("start-after"));
  const from =
    token === null ? (startAfter.length > 0 ? afterKey(startAfter) : startAfter) : keyOfToken(token);
  const maxKeys = maxKeysOf(query.get("max-keys"));
  const [prefix, delimiter] = [Buffer.from(parameter("prefix")), Buffer.from(parameter("delimiter"))];
  const page = maxKeys > 0 ? listPage(store, { bucket, prefix, delimiter, from, maxKeys }) : EMPTY_PAGE;
  const encoded = query.get("encoding-type") === "url";
  const show = (key: Buffer | string) => (encoded ? encodeKey(key.toString()) : key.toString());
  answerXml(response, "ListBucketResult", {
    Name: bucket,
    Prefix: show(prefix),
    ...(delimiter.length > 0 ? { Delimiter: show(delimiter) } : {}),
    ...(encoded ? { EncodingType: "url" } : {}),
    ...(startAfter.length > 0 ? { StartAfter: show(startAfter) } : {}),
    ...(token === null ? {} : { ContinuationToken: token }),
    ...(page.next ? { NextContinuationToken: tokenOf(page.next) } : {}),
    KeyCount: page.objects.length + page.commonPrefixes.length,
    MaxKeys: maxKeys,
    IsTruncated: page.next !== undefined,
    Contents: page.objects.map(({ key, etag, size, modified }) => ({
      Key: show(key),
      LastModified: new Date(modified).toISOString(),
      ETag: `"${etag}"`,
      Size: size,
      StorageClass: "STANDARD",
    })),
    CommonPrefixes: page.commonPrefixes.map((folded) => ({ Prefix: show(folded) })),
  });
}

const EMPTY_PAGE = { objects: [], commonPrefixes: [], next: undefined };

function maxKeysOf(text: string | null): number {
  const wanted = Number(text ?? "1000");
  if (Number.isInteger(wanted) && wanted >= 0) return Math.min(wanted, 1000);
  throw new ApiError(400, "InvalidArgument", `max-keys must be a whole number, got ${text}`);
}

// S3 leaves slashes as they are in url-encoded listings.
function encodeKey(key: string): string {
  return encodeURIComponent(key).replaceAll("%2F", "/");
}

async function createMultipartUpload(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { bucket, key } = request;
  const type = headerOf(request, "content-type") ?? DEFAULT_TYPE;
  const upload = { bucket, key, now: s3.now(), type, meta: metaOf(request) };
  const UploadId = await s3.store.write(() => createUpload(s3.store, upload));
  answerXml(response, "InitiateMultipartUploadResult", { Bucket: bucket, Key: key.toString(), UploadId });
}

function uploadIdOf({ query }: S3Request): string {
  return query.get("uploadId") ?? "";
}

async function uploadPart(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  const upload = uploadIdOf(request);
  const number = partNumberOf(request.query.get("partNumber"));
  requireUpload(store, request, upload);
  const body = await bodies.receive(incomingOf(request), -1);
  const part = { upload, number, body, now: s3.now() };
  bodies.remove(await commit(s3, body, () => putPart(store, request, part)));
  answer(response, 200, { etag: `"${body.md5}"`, "x-amz-checksum-crc32": body.crc32 }, "");
}

async function completeMultipartUpload(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  const upload = uploadIdOf(request);
  const parts = parseParts(await documentOf(s3, request));
  const completion = { upload, parts, condition: writeConditionOf(request), now: s3.now() };
  const { etag, unneeded } = await store.write(() => completeUpload(store, request, completion));
  bodies.remove(unneeded);
  const [Bucket, Key] = [request.bucket, request.key.toString()];
  answerXml(response, "CompleteMultipartUploadResult", {
    Location: `/${Bucket}/${Key}`,
    Bucket,
    Key,
    ETag: `"${etag}"`,
  });
}

async function abortMultipartUpload(
  { store, bodies }: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  bodies.remove(await store.write(() => dropUpload(store, request, uploadIdOf(request))));
  answer(response, 204, {});
}

function listMultipartUploads({ store }: S3, { bucket, query }: S3Request, response: ServerResponse): void {
  const uploads = listUploads(store, bucket, query.get("prefix") ?? "");
  answerXml(response, "ListMultipartUploadsResult", {
    Bucket: bucket,
    IsTruncated: false,
    Upload: uploads.map(({ id, key, started }) => ({
      Key: key.toString(),
      UploadId: id,
      Initiated: new Date(started).toISOString(),
    })),
  });
}
