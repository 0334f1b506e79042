import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  snappyUncompress,
} from "hyparquet";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";
import type { RandomAccess } from "../huggingface/folder.ts";
import type { Chunk } from "./chunk.ts";
import { decompressHadoopLz4, decompressLz4 } from "./lz4.ts";
import { columnOf, type TextColumn } from "./parquet-column.ts";
import type { SourceFile } from "./source-file.ts";

/** A group of rows is read at once, so this is memory. */
const MAX_GROUP_BYTES = 512 << 20;

type Compressor = (input: Uint8Array, length: number) => Uint8Array;

/** Checks the length that a page promises before memory is taken for it: a codec makes at most so much of a byte. */
const bounded =
  (ratio: number, decompress: Compressor): Compressor =>
  (input, length) => {
    const most = Math.min(MAX_GROUP_BYTES, ratio * (input.length + 64));
    if (length >= 0 && length <= most) return decompress(input, length);
    throw new CorruptData(`a page of ${input.length} bytes can't become ${length}, at most ${most}`);
  };

function decompressSnappy(input: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  snappyUncompress(input, output);
  return output;
}

/** Node's own codecs take memory only as the bytes come. */
const GROWING = Number.POSITIVE_INFINITY;

const compressors: Compressors = {
  GZIP: bounded(GROWING, (input, length) => gunzipSync(input, { maxOutputLength: Math.max(1, length) })),
  ZSTD: bounded(GROWING, (input, length) =>
    zstdDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ),
  LZ4_RAW: bounded(255, decompressLz4),
  LZ4: bounded(255, decompressHadoopLz4),
  SNAPPY: bounded(32, decompressSnappy),
  BROTLI: bounded(GROWING, (input, length) =>
    brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ),
};

const READ_CODECS = new Set(["UNCOMPRESSED", ...Object.keys(compressors)]);

/**
 * Reads the texts of a column, or of a field in one, in chunks of about `size` characters.
 *
 * @throws InvalidInput when the file is damaged, or has a row without a text in that column
 */
export async function* parquetChunks(
  file: SourceFile,
  field: string,
  size: number,
  onRead: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  const access = await file.open();
  try {
    const buffer = { byteLength: file.bytes, slice: sliceOf(access, file.bytes) };
    const metadata = await parquetMetadataAsync(buffer).catch((cause) => damaged(file, cause));
    const column = columnOf(metadata, field, file.name);
    for (const { start, end, share } of groupsOf(metadata, column, file)) {
      const texts = await readTexts({ buffer, metadata, field, ...column, start, end }, file);
      onRead(share);
      yield* batches(texts, size);
    }
  } finally {
    await access.close();
  }
}

function sliceOf(access: RandomAccess, length: number): AsyncBuffer["slice"] {
  const read = async (start: number, end: number) => {
    if (!(start >= 0 && start <= end && end <= length)) {
      throw new CorruptData(`bytes ${start} to ${end} are wanted of ${length}`);
    }
    const bytes = new Uint8Array(end - start);
    await access.read(bytes, start);
    return bytes.buffer;
  };
  return (start, end = length) => {
    const bytes = read(start, end);
    // Several are read at once: the first failure is thrown, and the others must not end the process.
    bytes.catch(() => {});
    return bytes;
  };
}

/** Returns the groups of rows, each with its share of the file's bytes. */
function groupsOf(metadata: FileMetaData, { column }: TextColumn, file: SourceFile) {
  let start = 0;
  return metadata.row_groups.map((group) => {
    const chunks = group.columns.flatMap(({ meta_data }) =>
      meta_data?.path_in_schema[0] === column ? [meta_data] : [],
    );
    const codec = chunks.find(({ codec }) => !READ_CODECS.has(codec))?.codec;
    if (codec !== undefined) {
      throw new InvalidInput(
        `${file.name} is compressed with ${codec}, which is not read; write it with snappy or zstd, in Python with: ` +
          'pyarrow.parquet.write_table(pyarrow.parquet.read_table(FILE), NEW, compression="zstd")',
      );
    }
    const bytes = chunks.reduce((sum, chunk) => sum + Number(chunk.total_uncompressed_size), 0);
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
}

type Rows = TextColumn & {
  buffer: AsyncBuffer;
  metadata: FileMetaData;
  field: string;
  start: number;
  end: number;
};

/** Texts stay bytes, so that those that are not UTF-8 are found. */
const parsers = { stringFromBytes: (bytes: Uint8Array) => bytes };

async function readTexts(rowsOf: Rows, file: SourceFile): Promise<string[]> {
  const { buffer, metadata, field, column, path, start, end } = rowsOf;
  let rows: unknown[][] = [];
  await parquetRead({
    file: buffer,
    metadata,
    columns: [column],
    rowStart: start,
    rowEnd: end,
    compressors,
    parsers,
    utf8: false,
    onComplete: (read: unknown[][]) => {
      rows = read;
    },
  }).catch((cause) => damaged(file, cause));
  if (rows.length !== end - start) damaged(file, `rows ${start} to ${end} are ${rows.length}`);
  return rows.map(([value], i) => {
    const text = path.reduce<unknown>(fieldOf, value);
    const where = `${file.name}: row ${start + i}`;
    if (text instanceof Uint8Array) return decode(text, where, field);
    const got = text === null || text === undefined ? "nothing" : typeof text;
    throw new InvalidInput(`${where} must have a text in "${field}", got ${got}`);
  });
}

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;

/** Keeps a byte order mark, which is text too. */
function decode(bytes: Uint8Array, where: string, field: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidInput(
      `${where} must have UTF-8 text in "${field}", its ${bytes.length} bytes are not; write the column as strings`,
      { cause },
    );
  }
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
