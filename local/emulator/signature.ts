import { createHash, createHmac } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { LRUCache } from "lru-cache";
import { required } from "../../protocol/required.ts";
import { ApiError } from "./errors.ts";
import { type AccessKeys, isSame } from "./keys.ts";

/**
 * Verifies that a request is signed with a key of the emulator, by AWS's Signature Version 4. The signature covers the
 * method, the path, the query, `host` and the `x-amz-` headers; of the body it covers the digest that the headers say,
 * which the clients leave out, and CRC32 covers what is stored. Its date may be any: clocks jump, and no network lies between.
 *
 * @throws ApiError 403
 */
export function requireSignature(request: IncomingMessage, keys: AccessKeys): void {
  const { authorization } = request.headers;
  if (authorization === undefined)
    throw denied("AccessDenied", "A request must be signed with a key of this folder");
  const match = AUTHORIZATION.exec(authorization);
  if (!match?.groups) throw denied("AccessDenied", "The authorization of a request must be AWS4-HMAC-SHA256");
  const { id, scope, signed, signature } = match.groups as Record<
    "id" | "scope" | "signed" | "signature",
    string
  >;
  const secret = keys.get(id);
  if (secret === undefined) throw denied("InvalidAccessKeyId", `This emulator has no access key ${id}`);
  const names = signed.split(";");
  requireCovered(request, names);
  const text = `AWS4-HMAC-SHA256\n${headerOf(request, "x-amz-date")}\n${scope}\n${sha256(canonical(request, names))}`;
  const wanted = createHmac("sha256", signingKey(secret, scope)).update(text).digest("hex");
  if (!isSame(signature, wanted))
    throw denied("SignatureDoesNotMatch", `The request is not signed with the secret of access key ${id}`);
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=(?<id>[\w-]{1,128})\/(?<scope>\d{8}\/[\w-]{1,64}\/[\w-]{1,64}\/aws4_request), ?SignedHeaders=(?<signed>[\w;-]{1,4096}), ?Signature=(?<signature>[0-9a-f]{64})$/;

const denied = (code: string, message: string): ApiError => new ApiError(403, code, message);

/** Refuses a signature that leaves out what decides about a request. */
function requireCovered({ headers }: IncomingMessage, names: readonly string[]): void {
  const deciding = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  const left = deciding.find((name) => !names.includes(name));
  if (left !== undefined) throw denied("AccessDenied", `The signature must cover the header ${left}`);
}

function canonical(request: IncomingMessage, names: readonly string[]): string {
  const [path = "", query = ""] = required(request.url, "the path of a request").split(/\?(.*)/s);
  const headers = names.map((name) => `${name}:${headerOf(request, name).trim().replaceAll(/\s+/g, " ")}\n`);
  const payload = headerOf(request, "x-amz-content-sha256");
  return `${request.method}\n${path}\n${canonicalQuery(query)}\n${headers.join("")}\n${names.join(";")}\n${payload}`;
}

function headerOf({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return Array.isArray(value) ? value.join(",") : (value ?? "");
}

function canonicalQuery(query: string): string {
  if (query === "") return "";
  const pairs = query.split("&").map((pair) => {
    const [name = "", value = ""] = pair.split(/=(.*)/s);
    return [encode(name), encode(value)] as const;
  });
  const compare = (a: string, b: string) => Number(a > b) - Number(a < b);
  pairs.sort(([a, x], [b, y]) => compare(a, b) || compare(x, y));
  return pairs.map(([name, value]) => `${name}=${value}`).join("&");
}

/** Writes a part of a query as signatures have it: percent-encoded but for letters, digits and `-._~`. */
function encode(part: string): string {
  const hex = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  try {
    return encodeURIComponent(decodeURIComponent(part)).replaceAll(/[!'()*]/g, hex);
  } catch (cause) {
    throw new ApiError(400, "InvalidURI", `The query is not percent-encoded UTF-8: ${part}`, { cause });
  }
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A signing key holds for a day, a region and a service. */
const signingKeys = new LRUCache<string, Buffer>({ max: 100 });

function signingKey(secret: string, scope: string): Buffer {
  const name = `${secret}/${scope}`;
  const cached = signingKeys.get(name);
  if (cached) return cached;
  let key: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
  signingKeys.set(name, key);
  return key;
}
