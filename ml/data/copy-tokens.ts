import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { byteTokenizerFiles } from "../tokenizers/byte-level.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { readTokenizer } from "./choose-tokenizer.ts";
import { PIECE_BYTES, readBlock, withAccess } from "./chunks.ts";
import { META_FILE, type TextMeta, TOKENS_FILE } from "./dataset.ts";
import { knownIds, nameOf, type PrepareOptions } from "./prepare-text.ts";
import type { SourceFile } from "./sources.ts";

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
  const name = nameOf(options);
  const tokenizer = tokenizerOf(options, name);
  const vocabulary = options.vocabulary ?? tokenizer?.vocabulary ?? 0;
  if (tokenizer && vocabulary < tokenizer.vocabulary) {
    throw new InvalidInput(
      `data.vocabulary must be at least the tokenizer's ${tokenizer.vocabulary}, got ${vocabulary}`,
    );
  }
  for (const [file, bytes] of Object.entries(tokenizer?.files ?? {}))
    await writeFile(join(directory, file), bytes);
  const tokens = await copy(options, files, vocabulary, join(directory, TOKENS_FILE));
  const special = tokenizer ? knownIds(tokenizer.special) : {};
  const meta: TextMeta = {
    kind: "text",
    tokenizer: tokenizer === null ? "none" : options.tokenizer === "byte" ? "byte" : "file",
    vocabulary,
    tokens,
    ...(vocabulary > 0x10000 ? { type: "uint32" as const } : {}),
    ...(Object.keys(special).length > 0 ? { special } : {}),
  };
  await writeFile(join(directory, META_FILE), encodeJson(meta));
}

function tokenizerOf(
  { tokenizer: choice, vocabulary, masks = false }: PrepareOptions,
  name: string,
): Tokenizer | null {
  const tokenizer =
    choice === "byte"
      ? openTokenizer(byteTokenizerFiles(), "tokenizer.json")
      : typeof choice === "object" && "file" in choice
        ? readTokenizer(choice.file)
        : null;
  if (tokenizer === null && vocabulary === undefined) {
    throw new InvalidInput(
      `${name} is tokenized already; say with what, by "tokenizer": { "file": ... }, or give data.vocabulary`,
    );
  }
  if (masks && (tokenizer?.special.mask ?? null) === null) {
    throw new InvalidInput(`${name}: a model that learns by masking needs a tokenizer with a mask token`);
  }
  return tokenizer;
}

async function copy(options: PrepareOptions, files: readonly SourceFile[], vocabulary: number, path: string) {
  const { onProgress = () => {}, signal } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const file = await open(path, "wx");
  let tokens = 0;
  try {
    for (const source of files) {
      for await (const { ids, at } of idsOf(source)) {
        signal?.throwIfAborted();
        checkIds(ids, vocabulary, source.name, at);
        const out = vocabulary > 0x10000 ? Uint32Array.from(ids) : ids;
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

async function* idsOf(file: SourceFile): AsyncGenerator<{ ids: Uint16Array<ArrayBuffer>; at: number }> {
  if (file.bytes % 2 !== 0) {
    throw new InvalidInput(`${file.name} must hold 16-bit numbers, got ${file.bytes} bytes`);
  }
  yield* withAccess(file, async function* (access) {
    for (let at = 0; ; ) {
      const block = await readBlock(access, { rest: NOTHING, at: 2 * at, size: PIECE_BYTES }, file);
      const ids = new Uint16Array(block.buffer, 0, Math.floor(block.length / 2));
      yield { ids, at };
      at += ids.length;
      if (block.length < PIECE_BYTES) return;
    }
  });
}

function checkIds(ids: Uint16Array, vocabulary: number, name: string, at: number): void {
  const outside = ids.findIndex((id) => id >= vocabulary);
  if (outside === -1) return;
  throw new InvalidInput(
    `${name}: token ${at + outside} must be below the vocabulary ${vocabulary}, got ${ids[outside]}`,
  );
}
