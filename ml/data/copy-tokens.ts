import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
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

/**
 * Takes over text that is tokenized already, in the format of nanoGPT's data preparation: ids as unsigned 16-bit
 * little-endian numbers, file after file.
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
  const tokens = await copy(options, files, vocabulary, join(directory, TOKENS_FILE));
  const meta: TextMeta = {
    kind: "text",
    tokenizer: tokenizer === null ? "none" : options.tokenizer === "byte" ? "byte" : "file",
    vocabulary,
    tokens,
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
  let tokens = 0;
  try {
    for (const source of files) {
      for await (const { ids, first } of idsOf(source)) {
        signal?.throwIfAborted();
        checkIds(ids, vocabulary, source.name, first);
        const out = typeOf(vocabulary) === "uint32" ? Uint32Array.from(ids) : ids;
        await file.writeFile(new Uint8Array(out.buffer, out.byteOffset, out.byteLength));
        tokens += ids.length;
        onProgress({ what: "tokenizing", share: (2 * tokens) / total });
      }
    }
  } finally {
    await file.close();
  }
  return tokens;
}

const NOTHING = new Uint8Array();

/** The ids of a file, block by block, each with the number of its first. */
async function* idsOf(file: SourceFile): AsyncGenerator<{ ids: Uint16Array<ArrayBuffer>; first: number }> {
  if (file.bytes % 2 !== 0) {
    throw new InvalidInput(`${file.name} must hold 16-bit numbers, got ${file.bytes} bytes`);
  }
  yield* withAccess(file, async function* (access) {
    for (let first = 0; ; ) {
      const block = await readBlock(access, { rest: NOTHING, offset: 2 * first, size: CHUNK_BYTES }, file);
      const ids = new Uint16Array(block.buffer, 0, Math.floor(block.length / 2));
      yield { ids, first };
      first += ids.length;
      if (block.length < CHUNK_BYTES) return;
    }
  });
}

function checkIds(ids: Uint16Array, vocabulary: number, name: string, first: number): void {
  const outside = ids.findIndex((id) => id >= vocabulary);
  if (outside === -1) return;
  throw new InvalidInput(
    `${name}: token ${first + outside} must be below the vocabulary ${vocabulary}, got ${ids[outside]}`,
  );
}
