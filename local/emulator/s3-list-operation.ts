import type { ServerResponse } from "node:http";
import { ApiError, notImplemented } from "./errors.ts";
import { afterKey, keyOfToken, listPage, tokenOf } from "./s3-list.ts";
import { requireBucket } from "./s3-objects.ts";
import { answerXml, type S3 } from "./s3-operation.ts";
import type { S3Request } from "./s3-request.ts";

/** ListObjectsV2. */
export function listObjects({ store }: S3, request: S3Request, response: ServerResponse): void {
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
