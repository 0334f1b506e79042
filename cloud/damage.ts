import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import type { DeserializeMiddleware, FinalizeRequestMiddleware, MiddlewareStack } from "@aws-sdk/types";
import { CorruptData, TryAgain } from "../protocol/errors.ts";
import { isByteStream } from "./byte-stream.ts";
import { log } from "./log.ts";

/** An answer, or what came of it, is not what was sent. The SDK asks again for one that has `$retryable`. */
export class DamagedOnItsWay extends TryAgain {
  readonly $retryable = {};
  readonly $metadata = {};
}

/** An object whose bytes are wrong however often they are read. */
export class DamagedObject extends CorruptData {
  readonly key: string;

  constructor(key: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.key = key;
  }
}

/** Bytes that were found wrong are read again so many times. */
const REREADS = 3;

/**
 * Reads an object until what came is right. Bytes that are wrong may have been damaged on their way; only when all
 * reads find the same fault, they are wrong where they lie.
 *
 * @param read throws CorruptData, whose text tells one damage from another by the digest got
 * @throws DamagedObject when all reads found the same fault; TryAgain when they found different ones
 */
export async function rereading<T>(key: string, read: () => Promise<T>): Promise<T> {
  const found: (CorruptData | DamagedOnItsWay)[] = [];
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof CorruptData || error instanceof DamagedOnItsWay)) throw error;
      found.push(error);
      if (found.length > REREADS) throw verdictOn(key, found);
      log.debug("read again", { key, error });
    }
  }
}

function verdictOn(key: string, found: readonly (CorruptData | DamagedOnItsWay)[]): Error {
  const [first] = found;
  const times = `read ${found.length} times`;
  if (first instanceof CorruptData && found.every(({ message }) => message === first.message)) {
    const name = first.message.includes(key) ? "" : `${key}, `;
    return new DamagedObject(key, `${first.message} (${name}${times})`, { cause: first.cause });
  }
  return new DamagedOnItsWay(`${key} came damaged, each time in another way (${times})`, {
    cause: found.at(-1),
  });
}

/** The names that S3 and SQS give to a request whose body is not what its headers or its signature say. */
const DAMAGED_REQUESTS = new Set([
  "BadDigest",
  "IncompleteBody",
  "SignatureDoesNotMatch",
  "XAmzContentSHA256Mismatch",
]);

/**
 * Makes a client try again when a request or its answer was damaged on its way. Over TLS nothing is; an emulator's plain
 * HTTP has only what its answers say: the CRC32 of their body, in `x-amz-crc32`.
 */
export function retryDamaged<Input extends object, Output extends object>(
  stack: MiddlewareStack<Input, Output>,
): void {
  const checkAnswer: DeserializeMiddleware<Input, Output> = (next) => async (args) => {
    const result = await next(args);
    checkBody(result.response);
    return result;
  };
  stack.add(checkAnswer, { step: "deserialize", name: "checkAnswer", priority: "low" });
  const markDamaged: FinalizeRequestMiddleware<Input, Output> = (next) => async (args) => {
    try {
      return await next(args);
    } catch (error) {
      if (error instanceof Error && DAMAGED_REQUESTS.has(error.name))
        Object.assign(error, { $retryable: {} });
      throw error;
    }
  };
  stack.addRelativeTo(markDamaged, {
    relation: "after",
    toMiddleware: "retryMiddleware",
    name: "markDamagedRequest",
  });
}

/** Lets the body of an answer be read only as what its `x-amz-crc32` says. */
function checkBody(response: unknown): void {
  if (typeof response !== "object" || response === null || !("headers" in response && "body" in response))
    return;
  const expected = (response.headers as Record<string, string>)["x-amz-crc32"];
  if (expected === undefined || !isByteStream(response.body)) return;
  response.body = Readable.from(checked(response.body, Number(expected)), { objectMode: false });
}

async function* checked(body: AsyncIterable<Uint8Array>, expected: number): AsyncGenerator<Uint8Array> {
  let crc = 0;
  for await (const chunk of body) {
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (crc !== expected) throw new DamagedOnItsWay(`an answer's CRC32 must be ${expected}, it is ${crc}`);
}
