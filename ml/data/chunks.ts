import { describe, InvalidInput } from "../../protocol/errors.ts";
import type { RandomAccess } from "../huggingface/folder.ts";
import { isSpace, isWordCharacter } from "../tokenizers/gpt2-words.ts";
import { parquetPieces } from "./parquet.ts";
import type { SourceFile } from "./sources.ts";

/**
 * A part of the documents to tokenize, small enough to be held in memory many times over. Where one ends depends on
 * the files only, so the tokens do not depend on who tokenizes which piece.
 */
export type Piece =
  /** Part of one document. */
  | { kind: "text"; bytes: Uint8Array<ArrayBuffer>; name: string; at: number; ends: boolean }
  /** Lines of JSON, each with a document in `field`. */
  | { kind: "lines"; bytes: Uint8Array<ArrayBuffer>; name: string; line: number; field: string }
  /** Whole documents. */
  | { kind: "documents"; texts: string[] };

export const PIECE_BYTES = 1 << 18;
const LONGEST_LINE = 64 << 20;
const NEWLINE = 10;

/**
 * @param field where a document stands in an object of JSON or a row of parquet
 * @param onRead called with the bytes read since its last call
 * @throws InvalidInput when a file can't be read
 */
export async function* piecesOf(
  files: readonly SourceFile[],
  field: string,
  onRead: (bytes: number) => void = () => {},
): AsyncGenerator<Piece> {
  for (const file of files) {
    if (file.kind === "parquet") yield* parquetPieces(file, field, PIECE_BYTES, onRead);
    else if (file.kind === "lines") yield* withAccess(file, (access) => lines(access, file, field, onRead));
    else yield* withAccess(file, (access) => text(access, file, onRead));
  }
}

/** Reads from a file while it is open. */
export async function* withAccess<T>(file: SourceFile, read: (access: RandomAccess) => AsyncGenerator<T>) {
  const access = await file.open().catch((cause) => unreadable(file, cause));
  try {
    yield* read(access);
  } finally {
    await access.close();
  }
}

function unreadable(file: SourceFile, cause: unknown): never {
  if (cause instanceof InvalidInput) throw cause;
  throw new InvalidInput(`${file.name} can't be read as a text file: ${describe(cause)}`, { cause });
}

async function* text(access: RandomAccess, file: SourceFile, onRead: (bytes: number) => void) {
  const { name } = file;
  let rest: Uint8Array = new Uint8Array();
  for (let at = 0; ; ) {
    // One character more than a piece, so that there is something to look at behind the cut.
    const block = await readBlock(access, { rest, at, size: PIECE_BYTES + 4 }, file);
    const ends = block.length < PIECE_BYTES + 4;
    const cut = ends ? block.length : cutOf(block, PIECE_BYTES);
    rest = block.slice(cut);
    onRead(cut);
    const piece: Piece = { kind: "text", bytes: block.subarray(0, cut), name, at, ends };
    yield piece;
    at += cut;
    if (ends) return;
  }
}

async function* lines(
  access: RandomAccess,
  file: SourceFile,
  field: string,
  onRead: (bytes: number) => void,
): AsyncGenerator<Piece> {
  let rest: Uint8Array = new Uint8Array();
  let size = PIECE_BYTES;
  let at = 0;
  for (let line = 1; ; ) {
    const block = await readBlock(access, { rest, at, size }, file);
    const ends = block.length < size;
    const cut = ends ? block.length : block.lastIndexOf(NEWLINE) + 1;
    if (cut === 0 && size >= LONGEST_LINE) {
      throw new InvalidInput(
        `${file.name}: line ${line} must be at most ${LONGEST_LINE} bytes, it is longer`,
      );
    }
    rest = block.slice(cut);
    at += cut;
    size = cut === 0 ? 2 * size : Math.max(PIECE_BYTES, rest.length + 1);
    if (cut > 0) {
      onRead(cut);
      const following = line + countLines(block, cut);
      yield { kind: "lines", bytes: block.subarray(0, cut), name: file.name, line, field };
      line = following;
    }
    if (ends) return;
  }
}

function countLines(bytes: Uint8Array, end: number): number {
  let lines = 0;
  for (let i = bytes.indexOf(NEWLINE); i !== -1 && i < end; i = bytes.indexOf(NEWLINE, i + 1)) lines++;
  return lines;
}

type Wanted = {
  /** The bytes from `at` on that were read already. */
  readonly rest: Uint8Array;
  readonly at: number;
  readonly size: number;
};

/** `size` bytes of a file in a buffer of their own, or fewer at its end. */
export async function readBlock(access: RandomAccess, { rest, at, size }: Wanted, file: SourceFile) {
  const block = new Uint8Array(Math.max(0, Math.min(size, access.size - at)));
  block.set(rest);
  const missing = block.subarray(rest.length);
  await access.read(missing, at + rest.length).catch((cause) => unreadable(file, cause));
  return block;
}

/**
 * Where to end a piece of a text of more than `limit` bytes, so that its parts give the tokens of the whole with every
 * tokenizer that cuts texts into words first (GPT-2's, Llama 3's, BERT's): after the last lone line break that is
 * right, else between a word and white space, else, in half a megabyte without any, between two characters.
 */
export function cutOf(bytes: Uint8Array, limit: number): number {
  for (let i = limit; i > limit / 2; i--) {
    if (bytes[i - 1] === NEWLINE && !isSpace(codeBefore(bytes, i - 1)) && !isSpace(codeAt(bytes, i)))
      return i;
  }
  for (let i = limit; i > limit / 2; i--) {
    if (isSpace(codeAt(bytes, i)) && isWordCharacter(codeBefore(bytes, i))) return i;
  }
  let i = limit;
  while (i > limit - 4 && isContinuation(bytes[i] ?? 0)) i--;
  return i;
}

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

function codeBefore(bytes: Uint8Array, end: number): number {
  let start = end - 1;
  while (start > 0 && start > end - 4 && isContinuation(bytes[start] ?? 0)) start--;
  return codeAt(bytes, start);
}

/** The code point that begins at `at`; U+FFFD where none does. */
function codeAt(bytes: Uint8Array, at: number): number {
  const byte = (i: number) => bytes[at + i] ?? 0;
  const first = byte(0);
  const tail = (i: number) => byte(i) & 0x3f;
  if (first < 0x80) return first;
  if (first < 0xc0) return 0xfffd;
  if (first < 0xe0) return ((first & 0x1f) << 6) | tail(1);
  if (first < 0xf0) return ((first & 0xf) << 12) | (tail(1) << 6) | tail(2);
  const code = ((first & 7) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3);
  return code <= 0x10ffff ? code : 0xfffd;
}
