import type { ServerResponse } from "node:http";
import { crc32 } from "node:zlib";
import { required } from "../../protocol/required.ts";
import type { Bodies, Body } from "./bodies.ts";
import { ApiError } from "./errors.ts";
import type { Condition } from "./s3-objects.ts";
import { conditionOf, headerOf, incomingOf, type S3Request } from "./s3-request.ts";
import { type Xml, xmlDocument } from "./s3-xml.ts";
import type { Store } from "./store.ts";

/** The state that operations of S3 work on. */
export type S3 = { readonly store: Store; readonly bodies: Bodies; readonly now: () => number };

export type Operation = (s3: S3, request: S3Request, response: ServerResponse) => Promise<void> | void;

export type Headers = Record<string, string | number>;

/** Sends a whole answer, with its CRC32: plain HTTP does not protect it on its way. */
export function answer(
  response: ServerResponse,
  status: number,
  headers: Headers,
  body?: string | Buffer,
): void {
  const described =
    body === undefined ? {} : { "content-length": Buffer.byteLength(body), "x-amz-crc32": crc32(body) };
  response.writeHead(status, { ...described, ...headers });
  response.end(body);
}

/** Answers 200 with an XML document. */
export function answerXml(response: ServerResponse, name: string, value: Xml): void {
  answer(response, 200, { "content-type": "application/xml" }, xmlDocument(name, value));
}

/** Returns the content type to store. */
export function typeOf(request: S3Request): string {
  return headerOf(request, "content-type") ?? "application/octet-stream";
}

/** Returns the user's metadata, by the names of its headers. */
export function metaOf(request: S3Request): Record<string, string> {
  const names = Object.keys(request.headers).filter((name) => name.startsWith("x-amz-meta-"));
  return Object.fromEntries(names.map((name) => [name, required(headerOf(request, name), name)]));
}

/** Returns the conditions on the object that the request would replace or remove. */
export function writeConditionOf(request: S3Request): Condition {
  return { ifMatch: conditionOf(request, "if-match"), ifNoneMatch: conditionOf(request, "if-none-match") };
}

/** Commits the row that names a body. When that fails, the body is removed. */
export async function commit<T>({ store, bodies }: S3, body: Body, operation: () => T): Promise<T> {
  try {
    return await store.write(operation);
  } catch (error) {
    bodies.remove(body.files);
    throw error;
  }
}

const MAX_DOCUMENT_BYTES = 4 * 1024 * 1024;

/** Reads the XML document in a request's body. */
export async function documentOf({ bodies }: S3, request: S3Request): Promise<string> {
  const incoming = incomingOf(request);
  if (incoming.size > MAX_DOCUMENT_BYTES)
    throw new ApiError(
      400,
      "MaxMessageLengthExceeded",
      `A request document has at most ${MAX_DOCUMENT_BYTES} bytes`,
    );
  const { inline } = await bodies.receive(incoming, MAX_DOCUMENT_BYTES);
  return required(inline, "the body of a request document").toString();
}
