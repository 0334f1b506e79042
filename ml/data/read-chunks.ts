import { describe, InvalidInput } from "../../protocol/errors.ts";
import { withoutMark } from "../../protocol/file-format.ts";
import type { RandomAccess } from "../huggingface/folder.ts";
import type { CutRule } from "../tokenizers/cut-rule.ts";
import { CHUNK_BYTES, type Chunk } from "./chunk.ts";
import { JsonValues, type ValueLines } from "./json-values.ts";
import { parquetChunks } from "./parquet.ts";
import type { SourceFile } from "./source-file.ts";
import { TextCutter } from "./text-cut.ts";

const MAX_LINE_BYTES = 64 << 20;
const NEWLINE = 10;

/** A text that can't be cut is tokenized as a whole up to this; it takes up to 1.6 GB of memory then. */
export const MAX_UNCUT_BYTES = 4 << 20;

/** A rule for readers that look at characters only. */
export const CUT_ANYWHERE: CutRule = { kind: "characters", tokens: [] };

export type ChunkOptions = {
  /** Where a document stands in an object of JSON or a row of parquet. */
  readonly field: string;
  /** Where a text may be cut. */
  readonly cuts: CutRule;
  /** Called with the bytes read since its last call. */
  readonly onRead?: (bytes: number) => void;
};

/**
 * Reads files as chunks.
 *
 * @throws InvalidInput when a file can't be read, or is too long for a tokenizer that must see it whole
 */
export async function* chunksOf(
  files: readonly SourceFile[],
  { field, cuts, onRead = () => {} }: ChunkOptions,
): AsyncGenerator<Chunk> {
  const cutter = new TextCutter(cuts);
  for (const file of files) {
    if (file.kind === "parquet") yield* parquetChunks(file, field, CHUNK_BYTES, onRead);
    else if (file.kind === "lines")
      yield* withAccess(file, (access) => lineChunks(access, file, field, onRead));
    else if (file.kind === "json")
      yield* withAccess(file, (access) => valueChunks(access, file, field, onRead));
    else yield* withAccess(file, (access) => textChunks(access, file, cutter, onRead));
  }
}

/** Reads from a file while it is open. */
export async function* withAccess<T>(file: SourceFile, read: (access: RandomAccess) => AsyncGenerator<T>) {
  const access = await file.open().catch((cause) => cannotRead(file, cause));
  try {
    yield* read(access);
  } finally {
    await access.close();
  }
}

function cannotRead(file: SourceFile, cause: unknown): never {
  if (cause instanceof InvalidInput) throw cause;
  throw new InvalidInput(`${file.name} can't be read as a text file: ${describe(cause)}`, { cause });
}

async function* textChunks(
  access: RandomAccess,
  file: SourceFile,
  cutter: TextCutter,
  onRead: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  const { name } = file;
  let rest: Uint8Array = new Uint8Array();
  let size = CHUNK_BYTES;
  for (let offset = 0; ; ) {
    const block = await readBlock(access, { rest, offset, size: size + cutter.margin }, file);
    const ends = block.length < size + cutter.margin;
    const cut = ends ? block.length : cutter.find(block, size);
    if (cut === -1) {
      if (size >= MAX_UNCUT_BYTES) throw cannotCut(name, offset);
      rest = block;
      size *= 2;
      continue;
    }
    rest = block.slice(cut);
    size = Math.max(CHUNK_BYTES, rest.length - cutter.margin);
    onRead(cut);
    yield { kind: "text", bytes: block.subarray(0, cut), name, offset, ends };
    offset += cut;
    if (ends) return;
  }
}

function cannotCut(name: string, offset: number): InvalidInput {
  return new InvalidInput(
    `${name}: from byte ${offset} on there are more than ${MAX_UNCUT_BYTES} bytes that can't be tokenized part by part, ` +
      "as ids depend on the text before them with this tokenizer and text; give it as shorter documents: smaller files, or a .jsonl file",
  );
}

async function* lineChunks(
  access: RandomAccess,
  file: SourceFile,
  field: string,
  onRead: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  const { name } = file;
  let rest: Uint8Array = new Uint8Array();
  let size = CHUNK_BYTES;
  let offset = 0;
  for (let line = 1; ; ) {
    const block = await readBlock(access, { rest, offset, size }, file);
    const ends = block.length < size;
    const cut = ends ? block.length : block.lastIndexOf(NEWLINE) + 1;
    if (cut === 0 && size >= MAX_LINE_BYTES) {
      throw new InvalidInput(`${name}: line ${line} must be at most ${MAX_LINE_BYTES} bytes, it is longer`);
    }
    rest = block.slice(cut);
    size = cut === 0 ? 2 * size : Math.max(CHUNK_BYTES, rest.length + 1);
    if (cut > 0) {
      onRead(cut);
      // Counted before the chunk is handed out: its memory may be moved to another thread.
      const following = line + countLines(block, cut);
      yield {
        kind: "lines",
        bytes: withoutMarkOf(block.subarray(0, cut), offset),
        name,
        first: line,
        unit: "line",
        field,
      };
      line = following;
    }
    offset += cut;
    if (ends) return;
  }
}

/** The byte order mark before the first line is no part of it. */
const withoutMarkOf = (bytes: Uint8Array<ArrayBuffer>, offset: number): Uint8Array<ArrayBuffer> =>
  offset === 0 ? bytes.subarray(bytes.length - withoutMark(bytes).length) : bytes;

async function* valueChunks(
  access: RandomAccess,
  file: SourceFile,
  field: string,
  onRead: (bytes: number) => void,
): AsyncGenerator<Chunk> {
  const { name } = file;
  const values = new JsonValues(name);
  const chunkOf = ({ bytes, first }: ValueLines): Chunk => ({
    kind: "lines",
    bytes,
    name,
    first,
    unit: "value",
    field,
  });
  for (let offset = 0; offset < access.size; ) {
    const block = await readBlock(access, { rest: NOTHING, offset, size: CHUNK_BYTES }, file);
    onRead(block.length);
    for (const lines of values.add(withoutMarkOf(block, offset))) yield chunkOf(lines);
    offset += block.length;
  }
  for (const lines of values.end()) yield chunkOf(lines);
}

const NOTHING = new Uint8Array();

function countLines(bytes: Uint8Array, end: number): number {
  let lines = 0;
  for (let i = bytes.indexOf(NEWLINE); i !== -1 && i < end; i = bytes.indexOf(NEWLINE, i + 1)) lines++;
  return lines;
}

type BlockRange = {
  /** The bytes from `offset` on that were read already. */
  readonly rest: Uint8Array;
  readonly offset: number;
  readonly size: number;
};

/** Reads `size` bytes of a file into a buffer of their own, or fewer at its end. */
export async function readBlock(
  access: RandomAccess,
  { rest, offset, size }: BlockRange,
  file: SourceFile,
): Promise<Uint8Array<ArrayBuffer>> {
  const block = new Uint8Array(Math.max(0, Math.min(size, access.size - offset)));
  block.set(rest);
  const missing = block.subarray(rest.length);
  await access.read(missing, offset + rest.length).catch((cause) => cannotRead(file, cause));
  return block;
}
