import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { FORMAT_BYTES } from "../../protocol/file-format.ts";
import { encodeJson } from "../../protocol/json.ts";
import { byteTokenizerFiles } from "../tokenizers/byte-level.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { CHUNK_BYTES } from "./chunk.ts";
import { META_FILE, specialOfMeta, type TextMeta, TOKENS_FILE, typeOf } from "./dataset.ts";
import { nameOf, type PrepareOptions } from "./prepare-options.ts";
import { readBlock, withAccess } from "./read-chunks.ts";
import { readTokenizer } from "./read-tokenizer.ts";
import type { SourceFile } from "./source-file.ts";
import { hint, type TokenFormat, tokenFormatOf } from "./token-format.ts";

/**
 * Takes over text that is tokenized already, as nanoGPT and llm.c write it: ids as unsigned little-endian numbers, file
 * after file.
 *
 * @throws InvalidInput when neither a tokenizer nor a vocabulary is given, or a token is outside of it
 */
export async function copyTokens(
  options: PrepareOptions,
  files: readonly SourceFile[],
  directory: string,
): Promise<void> {
  const tokenizer = tokenizerOf(options);
  const vocabulary = vocabularyOf(options, tokenizer);
  for (const [file, bytes] of Object.entries(tokenizer?.files ?? {}))
    await writeFile(join(directory, file), bytes);
  const { tokens, heldOut } = await copy(options, files, vocabulary, join(directory, TOKENS_FILE));
  const meta: TextMeta = {
    kind: "text",
    tokenizer: tokenizer === null ? "none" : options.tokenizer === "byte" ? "byte" : "file",
    vocabulary,
    tokens,
    ...(heldOut > 0 ? { heldOut } : {}),
    ...(typeOf(vocabulary) === "uint32" ? { type: "uint32" as const } : {}),
    ...(tokenizer ? specialOfMeta(tokenizer.special) : {}),
  };
  await writeFile(join(directory, META_FILE), encodeJson(meta));
}

function tokenizerOf(options: PrepareOptions): Tokenizer | null {
  const tokenizer = openChosen(options);
  if (options.masks && (tokenizer?.special.mask ?? null) === null) {
    throw new InvalidInput(
      `${nameOf(options)}: a model that learns by masking needs a tokenizer with a mask token`,
    );
  }
  return tokenizer;
}

function openChosen({ tokenizer: choice }: PrepareOptions): Tokenizer | null {
  if (choice === "byte") return openTokenizer(byteTokenizerFiles(), "tokenizer.json");
  return typeof choice === "object" && "file" in choice ? readTokenizer(choice.file) : null;
}

function vocabularyOf(options: PrepareOptions, tokenizer: Tokenizer | null): number {
  const { vocabulary = tokenizer?.vocabulary } = options;
  if (vocabulary === undefined) {
    throw new InvalidInput(
      `${nameOf(options)} is tokenized already; say with what, by "tokenizer": { "file": ... }, or give data.vocabulary`,
    );
  }
  if (tokenizer && vocabulary < tokenizer.vocabulary) {
    throw new InvalidInput(
      `data.vocabulary must be at least the tokenizer's ${tokenizer.vocabulary}, got ${vocabulary}`,
    );
  }
  return vocabulary;
}

async function copy(options: PrepareOptions, files: readonly SourceFile[], vocabulary: number, path: string) {
  const { onProgress = () => {}, signal } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const file = await open(path, "wx");
  const Written = typeOf(vocabulary) === "uint32" ? Uint32Array : Uint16Array;
  const counts = { training: 0, heldOut: 0 };
  let read = 0;
  try {
    for (const source of files) {
      const { name, bytes } = source;
      const start = await source.readStart(FORMAT_BYTES);
      const format = tokenFormatOf({ name, bytes, start, vocabulary, bits: options.bits });
      for await (const { ids, first } of idsOf(source, format)) {
        signal?.throwIfAborted();
        checkIds(ids, first, { name, vocabulary, start: start.subarray(format.offset), bits: format.bits });
        const out = Written.from(ids);
        await file.writeFile(new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
        counts[source.part] += ids.length;
        read += ids.byteLength;
        onProgress({ what: "tokenizing", share: read / total });
      }
    }
  } finally {
    await file.close();
  }
  return { tokens: counts.training + counts.heldOut, heldOut: counts.heldOut };
}

const NOTHING = new Uint8Array();

type Ids = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** The ids of a file, block by block, each with the number of its first. */
async function* idsOf(
  file: SourceFile,
  { offset: begin, bits }: TokenFormat,
): AsyncGenerator<{ ids: Ids; first: number }> {
  const width = bits / 8;
  yield* withAccess(file, async function* (access) {
    for (let first = 0; ; ) {
      const offset = begin + width * first;
      const block = await readBlock(access, { rest: NOTHING, offset, size: CHUNK_BYTES }, file);
      const length = Math.floor(block.length / width);
      const ids =
        width === 2 ? new Uint16Array(block.buffer, 0, length) : new Uint32Array(block.buffer, 0, length);
      yield { ids, first };
      first += ids.length;
      if (block.length < CHUNK_BYTES) return;
    }
  });
}

type Reading = {
  readonly name: string;
  readonly vocabulary: number;
  readonly bits: 16 | 32;
  /** The first numbers of the file, as bytes. */
  readonly start: Uint8Array;
};

function checkIds(ids: Ids, first: number, { name, vocabulary, bits, start }: Reading): void {
  const outside = ids.findIndex((id) => id >= vocabulary);
  if (outside === -1) return;
  throw new InvalidInput(
    `${name}: token ${first + outside} must be below the vocabulary ${vocabulary}, got ${ids[outside]}` +
      hint({ start, vocabulary }, bits),
  );
}
