import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import { type AsyncBuffer, type Compressors, parquetMetadataAsync, parquetRead } from "hyparquet";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";
import type { RandomAccess } from "../huggingface/folder.ts";
import type { Chunk } from "./chunk.ts";
import type { SourceFile } from "./source-file.ts";

/** A group of rows is read at once, so this is memory. */
const MAX_GROUP_BYTES = 512 << 20;

/** The codecs that Node can decompress; hyparquet itself does snappy and none. */
const compressors: Compressors = {
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  ZSTD: (input, length) => zstdDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
};

/**
 * Reads the texts of a column, in chunks of about `size` characters.
 *
 * @throws InvalidInput when the file is damaged, or has a row without a text in that column
 */
export async function* parquetChunks(
  file: SourceFile,
  column: string,
  size: number,
  onRead: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  const access = await file.open();
  try {
    const buffer = { byteLength: file.bytes, slice: sliceOf(access, file.bytes) };
    const { metadata, groups } = await groupsOf(buffer, column, file);
    for (const { start, end, share } of groups) {
      const texts = await readTexts({ buffer, metadata, column, start, end }, file);
      onRead(share);
      yield* batches(texts, size);
    }
  } finally {
    await access.close();
  }
}

function sliceOf(access: RandomAccess, length: number): AsyncBuffer["slice"] {
  return async (start, end = length) => {
    if (!(start >= 0 && start <= end && end <= length)) {
      throw new CorruptData(`bytes ${start} to ${end} are wanted of ${length}`);
    }
    const bytes = new Uint8Array(end - start);
    await access.read(bytes, start);
    return bytes.buffer;
  };
}

/** Returns the groups of rows, each with its share of the file's bytes. */
async function groupsOf(buffer: AsyncBuffer, column: string, file: SourceFile) {
  const metadata = await parquetMetadataAsync(buffer).catch((cause) => damaged(file, cause));
  const columns = metadata.schema.slice(1).map(({ name }) => name);
  if (!columns.includes(column)) {
    throw new InvalidInput(
      `${file.name} has no column "${column}"; data.field must be one of ${columns.join(", ")}`,
    );
  }
  let start = 0;
  const groups = metadata.row_groups.map((group) => {
    const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema.join(".") === column);
    const bytes = Number(chunk?.meta_data?.total_uncompressed_size ?? 0n);
    if (bytes > MAX_GROUP_BYTES) {
      throw new InvalidInput(
        `${file.name}: a group of rows must be at most ${MAX_GROUP_BYTES} bytes of "${column}", got ${bytes}; ` +
          "write it with smaller row groups",
      );
    }
    const end = start + Number(group.num_rows);
    const result = { start, end, share: file.bytes / metadata.row_groups.length };
    start = end;
    return result;
  });
  return { metadata, groups };
}

type Rows = {
  buffer: AsyncBuffer;
  metadata: Awaited<ReturnType<typeof parquetMetadataAsync>>;
  column: string;
  start: number;
  end: number;
};

async function readTexts({ buffer, metadata, column, start, end }: Rows, file: SourceFile) {
  let rows: unknown[][] = [];
  await parquetRead({
    file: buffer,
    metadata,
    columns: [column],
    rowStart: start,
    rowEnd: end,
    compressors,
    onComplete: (read: unknown[][]) => {
      rows = read;
    },
  }).catch((cause) => damaged(file, cause));
  if (rows.length !== end - start) damaged(file, `rows ${start} to ${end} are ${rows.length}`);
  return rows.map(([text], i) => {
    if (typeof text === "string") return text;
    throw new InvalidInput(
      `${file.name}: row ${start + i} must have a text in "${column}", got ${typeof text}`,
    );
  });
}

function damaged(file: SourceFile, cause: unknown): never {
  if (cause instanceof InvalidInput) throw cause;
  const why = typeof cause === "string" ? cause : describe(cause);
  throw new InvalidInput(`${file.name} is not a parquet file that can be read: ${why}`, { cause });
}

function* batches(texts: readonly string[], size: number): Generator<Chunk> {
  let batch: string[] = [];
  let length = 0;
  for (const text of texts) {
    batch.push(text);
    length += text.length;
    if (length < size) continue;
    yield { kind: "documents", texts: batch };
    batch = [];
    length = 0;
  }
  if (batch.length > 0) yield { kind: "documents", texts: batch };
}
