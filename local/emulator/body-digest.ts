import { createHash, type Hash, randomUUID } from "node:crypto";
import { crc32 } from "node:zlib";
import { ApiError } from "./errors.ts";

/** A body on its way and what its sender announced; the checksum may come after the bytes. */
export type Incoming = {
  readonly size: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly md5: string | undefined;
  /** In hex; undefined when the sender did not sign it. */
  readonly sha256: string | undefined;
  readonly crc32: () => string | undefined;
};

/** The digests of a body, computed as it arrives. */
export class Digest {
  size = 0;
  readonly #md5: Hash | null;
  readonly #sha256: Hash | null;
  #crc32 = 0;

  constructor({ md5, sha256 }: Incoming, small: boolean) {
    this.#md5 = small || md5 !== undefined ? createHash("md5") : null;
    this.#sha256 = sha256 === undefined ? null : createHash("sha256");
  }

  update(chunk: Uint8Array): void {
    this.size += chunk.length;
    this.#md5?.update(chunk);
    this.#sha256?.update(chunk);
    this.#crc32 = crc32(chunk, this.#crc32);
  }

  /** Returns the digests. Throws 400 when they differ from what the sender announced. */
  verified(incoming: Incoming): { size: number; etag: string; crc32: string } {
    if (this.size !== incoming.size) throw incomplete(incoming.size, this.size);
    const md5 = this.#md5?.digest();
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc32);
    const crc = bytes.toString("base64");
    if (incoming.md5 !== undefined && incoming.md5 !== md5?.toString("base64"))
      throw new ApiError(
        400,
        "BadDigest",
        `Content-MD5 is ${incoming.md5}, the body's is ${md5?.toString("base64")}`,
      );
    const sha256 = this.#sha256?.digest("hex");
    if (sha256 !== incoming.sha256)
      throw new ApiError(
        400,
        "XAmzContentSHA256Mismatch",
        `x-amz-content-sha256 is ${incoming.sha256}, the body's is ${sha256}`,
      );
    const expected = incoming.crc32();
    if (expected !== undefined && expected !== crc)
      throw new ApiError(400, "BadDigest", `x-amz-checksum-crc32 is ${expected}, the body's is ${crc}`);
    const etag = md5?.toString("hex") ?? randomUUID().replaceAll("-", "");
    return { size: this.size, etag, crc32: crc };
  }
}

export function incomplete(announced: number, got: number): ApiError {
  return new ApiError(400, "IncompleteBody", `The body must have ${announced} bytes, got ${got}`);
}
