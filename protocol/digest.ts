import { createHash } from "node:crypto";
import { CorruptData } from "./errors.ts";

/** SHA-256 in lower-case hex. */
export function sha256(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/**
 * Checks bytes against their SHA-256.
 *
 * @param what names the bytes in the error
 * @throws CorruptData with both digests
 */
export function requireDigest(bytes: Uint8Array, expected: string, what: string): void {
  const got = sha256(bytes);
  if (got !== expected)
    throw new CorruptData(`${what} is corrupt: its SHA-256 must be ${expected}, it is ${got}`);
}

/** The bytes of a float vector, without a copy. The format on the wire is little-endian, as every host we run on. */
export function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** A float vector over `bytes`; copies only when they are not aligned to four. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
