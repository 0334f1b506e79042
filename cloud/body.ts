import type { GetObjectCommand } from "@aws-sdk/client-s3";
import { CorruptData, PsError } from "../protocol/errors.ts";
import { isByteStream } from "./byte-stream.ts";
import { DamagedOnItsWay } from "./damage.ts";
import { httpStatusOf } from "./service-errors.ts";
import { crc32Of } from "./upload.ts";

/** S3 then answers with the checksum of a whole object, the emulator with that of a range too. The SDK checks neither. */
export function askForChecksum(command: GetObjectCommand): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const { request } = args as { request?: { headers?: Record<string, string> } };
      if (request?.headers) request.headers["x-amz-checksum-mode"] = "ENABLED";
      return next(args);
    },
    { step: "build", name: "askForChecksum" },
  );
}

/** @param crc32 in base64; none, or that of its parts, when the object was not uploaded in one piece */
export function checkCrc(key: string, body: Uint8Array, crc32: string | undefined): void {
  if (crc32 === undefined || crc32.includes("-")) return;
  const got = crc32Of(body);
  if (got !== crc32) throw new CorruptData(`${key} is corrupt: its CRC32 must be ${crc32}, it is ${got}`);
}

/** Copies a body into memory as it arrives. */
export async function fill(into: Uint8Array, body: unknown, key: string, start: number): Promise<void> {
  if (!isByteStream(body)) throw new CorruptData(`Body of ${key} is missing`);
  let filled = 0;
  try {
    for await (const chunk of body) {
      if (filled + chunk.length > into.length)
        throw new CorruptData(`${key}: more bytes came than asked for`);
      into.set(chunk, filled);
      filled += chunk.length;
    }
  } catch (cause) {
    if (cause instanceof PsError) throw cause;
    throw new DamagedOnItsWay(`the answer with ${key} broke off after ${filled} of ${into.length} bytes`, {
      cause,
    });
  }
  if (filled < into.length) {
    throw new CorruptData(
      `${key} is truncated: ${into.length} bytes at ${start} wanted, ${filled} are there`,
    );
  }
}

export async function unlessOutOfRange<T>(key: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (httpStatusOf(error) !== 416) throw error;
    throw new CorruptData(`${key} is truncated: it ends before the bytes wanted`, { cause: error });
  }
}
