import type { IncomingMessage } from "node:http";
import { required } from "../../protocol/required.ts";
import { decodeChunks } from "./aws-chunked.ts";
import type { Incoming } from "./body-digest.ts";
import { ApiError, notImplemented } from "./errors.ts";

/** The parts of an S3 request; `operation` is its name in S3's reference. */
export type S3Request = {
  readonly operation: string;
  readonly bucket: string;
  /** UTF-8 bytes; empty when the request is about the bucket. */
  readonly key: Buffer;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly message: IncomingMessage;
};

const MAX_KEY_BYTES = 1024;

/** Parses a path-style request. The path is not normalised: the key `a/../b` is just that. */
export function parseS3Request(message: IncomingMessage): S3Request {
  const [path, queryText] = splitOnce(required(message.url, "the path of a request"), "?");
  const [bucket, keyText] = splitOnce(path.slice(1), "/");
  const query = new URLSearchParams(queryText);
  const key = Buffer.from(decodePath(keyText));
  if (key.length > MAX_KEY_BYTES)
    throw new ApiError(400, "KeyTooLongError", `A key has at most 1024 bytes, got ${key.length}`);
  const operation = operationOf(
    required(message.method, "the method of a request"),
    bucket,
    key.length > 0,
    query,
  );
  requireKnownHeaders(operation, message.headers);
  return { operation, bucket, key, query, headers: message.headers, message };
}

/** Returns the text before a separator and that after it, which is empty when there is no separator. */
function splitOnce(text: string, separator: string): [string, string] {
  const offset = text.indexOf(separator);
  return offset < 0 ? [text, ""] : [text.slice(0, offset), text.slice(offset + 1)];
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new ApiError(400, "InvalidURI", `The key is not percent-encoded UTF-8: ${path}`, { cause });
  }
}

const PLAIN_OPERATIONS: Readonly<Record<string, readonly [bucket: string, object: string]>> = {
  GET: ["ListObjects", "GetObject"],
  HEAD: ["HeadBucket", "HeadObject"],
  PUT: ["CreateBucket", "PutObject"],
  POST: ["PostObject", "PostObject"],
  DELETE: ["DeleteBucket", "DeleteObject"],
};
const MARKED_OPERATIONS: Readonly<Record<string, string>> = {
  "GET list-type": "ListObjectsV2",
  "GET uploads": "ListMultipartUploads",
  "GET uploadId": "ListParts",
  "POST delete": "DeleteObjects",
  "POST uploads": "CreateMultipartUpload",
  "POST uploadId": "CompleteMultipartUpload",
  "PUT uploadId": "UploadPart",
  "DELETE uploadId": "AbortMultipartUpload",
};
const PARAMETERS = new Set(
  "x-id prefix delimiter continuation-token start-after max-keys encoding-type list-type fetch-owner partNumber".split(
    " ",
  ),
);

function operationOf(method: string, bucket: string, hasKey: boolean, query: URLSearchParams): string {
  if (bucket === "") return `${method} /`;
  const names = [...query.keys()];
  const marked = names
    .map((name) => MARKED_OPERATIONS[`${method} ${name}`])
    .find((name) => name !== undefined);
  if (marked) return marked;
  const plain = PLAIN_OPERATIONS[method]?.[hasKey ? 1 : 0] ?? method;
  const unknown = names.find((name) => !PARAMETERS.has(name) && !name.startsWith("X-Amz-"));
  if (unknown === undefined) return plain;
  if (query.get(unknown) !== "") return `${plain} with ${unknown}`;
  // A sub-resource: GET key?acl is GetObjectAcl.
  const words = [method.toLowerCase(), hasKey ? "object" : "bucket", unknown];
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

// Headers that need no work here. Any other x-amz- header asks for something that the emulator does not have.
const KNOWN_HEADERS = new Set(
  (
    "x-amz-content-sha256 x-amz-date x-amz-user-agent x-amz-security-token x-amz-sdk-checksum-algorithm " +
    "x-amz-checksum-crc32 x-amz-checksum-mode x-amz-checksum-type x-amz-checksum-algorithm x-amz-mp-object-size " +
    "x-amz-trailer x-amz-decoded-content-length"
  ).split(" "),
);
const UNKNOWN_CONDITIONS = ["if-modified-since", "if-unmodified-since"];

function requireKnownHeaders(operation: string, headers: IncomingMessage["headers"]): void {
  for (const name of Object.keys(headers)) {
    const unknown = name.startsWith("x-amz-") && !name.startsWith("x-amz-meta-") && !KNOWN_HEADERS.has(name);
    if (unknown || UNKNOWN_CONDITIONS.includes(name)) throw notImplemented(`${operation} with ${name}`);
  }
}

/** Returns the value of a request header that comes once. */
export function headerOf(request: S3Request, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Returns the request's body and what its sender announced. */
export function incomingOf(request: S3Request): Incoming {
  // The stream stays open on failure, so that the answer can still be sent.
  const raw: AsyncIterable<Buffer> = request.message.iterator({ destroyOnReturn: false });
  const md5 = headerOf(request, "content-md5");
  const coding = headerOf(request, "x-amz-content-sha256") ?? "";
  if (!coding.startsWith("STREAMING-")) {
    const size = lengthOf(request, "content-length");
    const sha256 = signedSha256(coding);
    return { size, chunks: raw, md5, sha256, crc32: () => headerOf(request, "x-amz-checksum-crc32") };
  }
  if (coding !== "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    throw notImplemented(`${request.operation} with ${coding}`);
  const announced = headerOf(request, "x-amz-trailer") ?? "x-amz-checksum-crc32";
  if (announced !== "x-amz-checksum-crc32")
    throw notImplemented(`${request.operation} with trailer ${announced}`);
  const trailers = new Map<string, string>();
  const size = lengthOf(request, "x-amz-decoded-content-length");
  return {
    size,
    chunks: decodeChunks(raw, trailers),
    md5,
    sha256: undefined,
    crc32: () => trailers.get("x-amz-checksum-crc32"),
  };
}

/** Returns the SHA-256 of a body that its sender signed; undefined when it signed that there is none. */
export const signedSha256 = (header: string | undefined): string | undefined =>
  /^[0-9a-f]{64}$/.test(header ?? "") ? header : undefined;

function lengthOf(request: S3Request, header: string): number {
  const text = headerOf(request, header) ?? "";
  if (!/^[0-9]{1,15}$/.test(text))
    throw new ApiError(411, "MissingContentLength", `${header} must be a number of bytes, got "${text}"`);
  return Number(text);
}

/** Returns the ETag that a condition header names, without quotes; `*` stands for any. */
export function conditionOf(request: S3Request, name: "if-match" | "if-none-match"): string | undefined {
  return headerOf(request, name)
    ?.trim()
    .replace(/^"(.*)"$/, "$1");
}
