import { ApiError } from "./errors.ts";

/**
 * Decodes a body in S3's `aws-chunked` coding without signatures: chunks, each after its length in hexadecimal, then
 * trailing headers, which it adds to `trailers`.
 */
export async function* decodeChunks(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  for (;;) {
    const header = await reader.line();
    if (!/^[0-9a-f]{1,8}$/i.test(header))
      throw new ApiError(400, "IncompleteBody", `Not a chunk header: ${header}`);
    const size = Number.parseInt(header, 16);
    if (size === 0) break;
    yield* reader.bytes(size);
    await reader.line();
  }
  for (let line = await reader.line(); line !== ""; line = await reader.line()) {
    const colon = line.indexOf(":");
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
}

const MAX_LINE_BYTES = 8192;

class ByteReader {
  readonly #source: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Reads the text up to the next CRLF, without it. */
  async line(): Promise<string> {
    let end = this.#buffer.indexOf("\r\n");
    while (end < 0) {
      if (this.#buffer.length > MAX_LINE_BYTES)
        throw new ApiError(400, "IncompleteBody", "A chunk header is too long");
      this.#buffer = Buffer.concat([this.#buffer, await this.#next()]);
      end = this.#buffer.indexOf("\r\n");
    }
    const line = this.#buffer.toString("latin1", 0, end);
    this.#buffer = this.#buffer.subarray(end + 2);
    return line;
  }

  async *bytes(count: number): AsyncGenerator<Buffer> {
    let left = count;
    while (left > 0) {
      if (this.#buffer.length === 0) this.#buffer = await this.#next();
      const bytes = this.#buffer.subarray(0, left);
      this.#buffer = this.#buffer.subarray(bytes.length);
      left -= bytes.length;
      yield bytes;
    }
  }

  async #next(): Promise<Buffer> {
    const { done, value } = await this.#source.next();
    if (done) throw new ApiError(400, "IncompleteBody", "The body ended inside a chunk");
    return value;
  }
}
