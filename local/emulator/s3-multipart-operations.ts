import type { ServerResponse } from "node:http";
import { required } from "../../protocol/required.ts";
import { ApiError } from "./errors.ts";
import {
  completeUpload,
  createUpload,
  dropUpload,
  listStoredParts,
  listUploads,
  parseParts,
  partNumberOf,
  putPart,
  requireUpload,
} from "./s3-multipart.ts";
import {
  answer,
  answerXml,
  commit,
  documentOf,
  metaOf,
  type S3,
  typeOf,
  writeConditionOf,
} from "./s3-operation.ts";
import { incomingOf, type S3Request } from "./s3-request.ts";

/** CreateMultipartUpload. */
export async function createMultipartUpload(
  s3: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  const { bucket, key } = request;
  const type = typeOf(request);
  const upload = { bucket, key, now: s3.now(), type, meta: metaOf(request) };
  const UploadId = await s3.store.write(() => createUpload(s3.store, upload));
  answerXml(response, "InitiateMultipartUploadResult", { Bucket: bucket, Key: key.toString(), UploadId });
}

function uploadIdOf({ query }: S3Request): string {
  return required(query.get("uploadId"), "uploadId");
}

/** UploadPart: a part is a file whatever its size. */
export async function uploadPart(s3: S3, request: S3Request, response: ServerResponse): Promise<void> {
  const { store, bodies } = s3;
  const upload = uploadIdOf(request);
  const number = partNumberOf(request.query.get("partNumber"));
  requireUpload(store, request, upload);
  const body = await bodies.receive(incomingOf(request), -1);
  const part = { upload, number, body, now: s3.now() };
  bodies.remove(await commit(s3, body, () => putPart(store, request, part)));
  answer(response, 200, { etag: `"${body.etag}"`, "x-amz-checksum-crc32": body.crc32 }, "");
}

/** CompleteMultipartUpload: makes an object of the parts, if the conditions hold. Their files become the object's. */
export async function completeMultipartUpload(
  s3: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
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

/** AbortMultipartUpload: removes an upload and its parts. */
export async function abortMultipartUpload(
  { store, bodies }: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  bodies.remove(await store.write(() => dropUpload(store, request, uploadIdOf(request))));
  answer(response, 204, {});
}

/** ListParts: the parts that an unfinished upload has so far, at most a thousand a page. */
export function listParts({ store }: S3, request: S3Request, response: ServerResponse): void {
  const { bucket, key, query } = request;
  const upload = uploadIdOf(request);
  const [marker, limit] = [
    countIn(query, "part-number-marker", 0),
    countIn(query, "max-parts", MAX_LISTED_PARTS),
  ];
  const parts = listStoredParts(store, request, upload, marker);
  const page = parts.slice(0, Math.min(limit, MAX_LISTED_PARTS));
  answerXml(response, "ListPartsResult", {
    Bucket: bucket,
    Key: key.toString(),
    UploadId: upload,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.number ?? 0,
    MaxParts: limit,
    IsTruncated: page.length < parts.length,
    ChecksumAlgorithm: "CRC32",
    Part: page.map(({ number, etag, crc32, size, modified }) => ({
      PartNumber: number,
      LastModified: new Date(modified).toISOString(),
      ETag: `"${etag}"`,
      Size: size,
      ChecksumCRC32: crc32,
    })),
  });
}

const MAX_LISTED_PARTS = 1000;

function countIn(query: URLSearchParams, name: string, fallback: number): number {
  const text = query.get(name) ?? String(fallback);
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new ApiError(400, "InvalidArgument", `${name} must be a whole number, got ${text}`);
}

/** ListMultipartUploads: the uploads that were neither completed nor aborted, on one page. */
export function listMultipartUploads(
  { store }: S3,
  { bucket, query }: S3Request,
  response: ServerResponse,
): void {
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
