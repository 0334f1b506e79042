import { readFileSync } from "node:fs";
import { TextDecoder } from "node:util";
import { z } from "zod";
import { sha256 } from "../../protocol/digest.ts";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";
import { parseAs } from "../../protocol/parse.ts";
import { encodeRecord } from "../../protocol/records.ts";
import { charTokenizerFiles, MAX_CHARACTERS as MAX_VOCABULARY } from "../tokenizers/char.ts";

/**
 * A text as tokens: what stands under `datasets/<digest>/`. One token per distinct Unicode code point, numbered in
 * the order of the code points; `tokens.bin` holds them as unsigned 16-bit little-endian numbers.
 */
export const textMetaSchema = z.strictObject({
  kind: z.literal("text"),
  tokenizer: z.literal("char"),
  /** Number of distinct tokens. */
  vocabulary: z.int().min(1).max(MAX_VOCABULARY),
  /** Length of the text in tokens. */
  tokens: z.int().min(1),
  /** Length of the text file in bytes. */
  bytes: z.int().min(1),
});
export type TextMeta = z.infer<typeof textMetaSchema>;

/** The files of a dataset by name. */
export type DatasetFiles = Readonly<Record<string, Uint8Array>>;

export type Dataset = {
  /** Names the dataset: SHA-256 over the names and contents of its files. */
  readonly digest: string;
  readonly files: DatasetFiles;
  readonly meta: TextMeta;
  readonly tokens: Uint16Array;
};

export const DATASET_FILES = ["meta.json", "tokenizer.json", "tokenizer_config.json", "tokens.bin"] as const;

const CHUNK_BYTES = 1 << 20;
const CODE_POINTS = 0x110000;

/**
 * Tokenizes a text. The same text gives the same files, byte for byte.
 *
 * @param source the text, or the path of the file that holds it
 * @param name what to call the text in messages
 * @throws InvalidInput when the file can't be read, is empty, or is not UTF-8
 */
export function prepareText(
  source: Uint8Array | string,
  name = typeof source === "string" ? source : "the text",
): Dataset {
  const bytes = typeof source === "string" ? readBytes(source) : source;
  if (bytes.length === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
  const { vocabulary, length } = survey(bytes, name);
  if (vocabulary.length > MAX_VOCABULARY) {
    throw new InvalidInput(
      `${name} has ${vocabulary.length} distinct characters; the char tokenizer allows ${MAX_VOCABULARY}`,
    );
  }
  const meta = {
    kind: "text",
    tokenizer: "char",
    vocabulary: vocabulary.length,
    tokens: length,
    bytes: bytes.length,
  };
  return openDataset({
    "meta.json": encodeRecord(meta),
    ...charTokenizerFiles(vocabulary.map((code) => String.fromCodePoint(code))),
    "tokens.bin": encode(bytes, name, vocabulary, length),
  });
}

/**
 * Reads the files of a dataset and checks that they fit together.
 *
 * @throws CorruptData when a file is missing, truncated, or holds a token outside the vocabulary
 */
export function openDataset(files: DatasetFiles): Dataset {
  const missing = DATASET_FILES.find((name) => files[name] === undefined);
  if (missing) throw new CorruptData(`the dataset has no ${missing}`);
  const meta = parseAs(textMetaSchema, files["meta.json"] ?? new Uint8Array(), "the dataset's meta.json");
  const data = files["tokens.bin"] ?? new Uint8Array();
  if (data.length !== 2 * meta.tokens) {
    throw new CorruptData(
      `the dataset's tokens.bin must be ${2 * meta.tokens} bytes for ${meta.tokens} tokens, got ${data.length}`,
    );
  }
  const aligned = data.byteOffset % 2 === 0 ? data : data.slice();
  const tokens = new Uint16Array(aligned.buffer, aligned.byteOffset, meta.tokens);
  const outside = tokens.findIndex((token) => token >= meta.vocabulary);
  if (outside !== -1) {
    throw new CorruptData(
      `the dataset's token ${outside} must be below its vocabulary ${meta.vocabulary}, got ${tokens[outside]}`,
    );
  }
  return { digest: digestOf(files), files, meta, tokens };
}

function digestOf(files: DatasetFiles): string {
  return sha256(DATASET_FILES.map((name) => `${sha256(files[name] ?? "")}  ${name}\n`).join(""));
}

function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InvalidInput(`${path} can't be read as a text file: ${describe(cause)}`, { cause });
  }
}

/** The distinct code points of a text in order, and how many code points it has in all. */
function survey(bytes: Uint8Array, name: string): { vocabulary: number[]; length: number } {
  const seen = new Uint8Array(CODE_POINTS);
  let length = 0;
  forEachCodePoint(bytes, name, (code) => {
    seen[code] = 1;
    length++;
  });
  const vocabulary: number[] = [];
  for (const [code, present] of seen.entries()) if (present) vocabulary.push(code);
  return { vocabulary, length };
}

function encode(bytes: Uint8Array, name: string, vocabulary: readonly number[], length: number): Uint8Array {
  const ids = new Uint16Array(CODE_POINTS);
  for (const [id, code] of vocabulary.entries()) ids[code] = id;
  const tokens = new Uint16Array(length);
  let i = 0;
  forEachCodePoint(bytes, name, (code) => {
    tokens[i++] = ids[code] ?? 0;
  });
  return new Uint8Array(tokens.buffer);
}

/** Decodes in chunks, so that a text may be longer than the longest string. A byte order mark is text too. */
function forEachCodePoint(bytes: Uint8Array, name: string, visit: (code: number) => void): void {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    const chunk = bytes.subarray(start, start + CHUNK_BYTES);
    const stream = start + CHUNK_BYTES < bytes.length;
    for (const character of decodeChunk(decoder, chunk, stream, name, start)) {
      visit(character.codePointAt(0) ?? 0);
    }
  }
}

function decodeChunk(decoder: TextDecoder, chunk: Uint8Array, stream: boolean, name: string, start: number) {
  try {
    return decoder.decode(chunk, { stream });
  } catch (cause) {
    throw new InvalidInput(
      `${name} is not UTF-8 text (near byte ${start + firstInvalid(chunk)}); convert it, ` +
        "for example with: iconv -f ISO-8859-1 -t UTF-8",
      { cause },
    );
  }
}

/** A place in an invalid chunk such that all before it is valid, found by halving. */
function firstInvalid(chunk: Uint8Array): number {
  let valid = 0;
  let end = chunk.length;
  while (end - valid > 1) {
    const middle = (valid + end) >>> 1;
    if (isPrefixValid(chunk.subarray(0, middle))) valid = middle;
    else end = middle;
  }
  return valid;
}

function isPrefixValid(bytes: Uint8Array): boolean {
  try {
    // As a stream: a character cut by the end is not an error.
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
