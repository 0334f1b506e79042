import type { IncomingMessage } from "node:http";
import { decodeChunks } from "./aws-chunked.ts";
import type { Incoming } from "./bodies.ts";
import { ApiError, notImplemented } from "./errors.ts";

/** An S3 request, taken apart; `operation` is its name in S3's reference. */
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

/** Takes a path-style request apart. The path is not normalised: a key `a/../b` is just that key. */
export function parseS3Request(message: IncomingMessage): S3Request {
  const [path = "", queryText = ""] = splitOnce(message.url ?? "/", "?");
  const [bucket = "", keyText = ""] = splitOnce(path.slice(1), "/");
  const query = new URLSearchParams(queryText);
  const key = Buffer.from(decodePath(keyText));
  if (key.length > MAX_KEY_BYTES)
    throw new ApiError(400, "KeyTooLongError", `A key has at most 1024 bytes, got ${key.length}`);
  const operation = operationOf(message.method ?? "", bucket, key.length > 0, query);
  requireKnownHeaders(operation, message.headers);
  return { operation, bucket, key, query, headers: message.headers, message };
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
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
  const foreign = names.find((name) => !PARAMETERS.has(name) && !name.startsWith("X-Amz-"));
  if (foreign === undefined) return plain;
  if (query.get(foreign) !== "") return `${plain} with ${foreign}`;
  // A sub-resource: GET key?acl is GetObjectAcl.
  const words = [method.toLowerCase(), hasKey ? "object" : "bucket", foreign];
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

// Headers that change nothing here; any other x-amz- header asks for something the emulator does not have.
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
    const foreign = name.startsWith("x-amz-") && !name.startsWith("x-amz-meta-") && !KNOWN_HEADERS.has(name);
    if (foreign || UNKNOWN_CONDITIONS.includes(name)) throw notImplemented(`${operation} with ${name}`);
  }
}

/** A request header that comes once. */
export function headerOf(request: S3Request, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The request's body and what its sender said about it. */
export function incomingOf(request: S3Request): Incoming {
  // Left open on failure, so that the answer can still be sent.
  const raw: AsyncIterable<Buffer> = request.message.iterator({ destroyOnReturn: false });
  const md5 = headerOf(request, "content-md5");
  const coding = headerOf(request, "x-amz-content-sha256") ?? "";
  if (!coding.startsWith("STREAMING-")) {
    const size = lengthOf(request, "content-length");
    return { size, chunks: raw, md5, crc32: () => headerOf(request, "x-amz-checksum-crc32") };
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
    crc32: () => trailers.get("x-amz-checksum-crc32"),
  };
}

function lengthOf(request: S3Request, header: string): number {
  const text = headerOf(request, header) ?? "";
  if (!/^[0-9]{1,15}$/.test(text))
    throw new ApiError(411, "MissingContentLength", `${header} must be a number of bytes, got "${text}"`);
  return Number(text);
}

/** The ETag a condition header asks for, without quotes; `*` stands for any. */
export function conditionOf(request: S3Request, name: "if-match" | "if-none-match"): string | undefined {
  return headerOf(request, name)
    ?.trim()
    .replace(/^"(.*)"$/, "$1");
}
