import type { ServerResponse } from "node:http";
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

/** Starts an upload. */
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
  return query.get("uploadId") ?? "";
}

/** Stores a part, as a file whatever its size. */
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

/** Makes the object of its parts, if the conditions hold; their files become the object's. */
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

/** Removes an upload and its parts. */
export async function abortMultipartUpload(
  { store, bodies }: S3,
  request: S3Request,
  response: ServerResponse,
): Promise<void> {
  bodies.remove(await store.write(() => dropUpload(store, request, uploadIdOf(request))));
  answer(response, 204, {});
}

/** The uploads that were neither completed nor aborted, on one page. */
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
