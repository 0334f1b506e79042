import { type FileHandle, open, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Buckets } from "../../cloud/buckets.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import type { SpecialIds } from "../tokenizers/special-tokens.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { chooseTokenizer, type TokenizerChoice } from "./choose-tokenizer.ts";
import { piecesOf } from "./chunks.ts";
import { copyTokens } from "./copy-tokens.ts";
import type { Encoded, Found, Pass, ResultOf, Separator } from "./corpus-pass.ts";
import { type Dataset, META_FILE, type TextMeta, TOKENS_FILE } from "./dataset.ts";
import { makeCached } from "./dataset-cache.ts";
import { fingerprintOf, recall, remember } from "./source-fingerprint.ts";
import { findSources, type SourceFile } from "./sources.ts";
import { passOver } from "./tokenize-pool.ts";

export type Progress = {
  readonly what: "reading characters" | "counting words" | "learning merges" | "tokenizing";
  /** From 0 to 1. */
  readonly share: number;
};

export type PrepareOptions = {
  /** A file, a directory, a glob, or s3://bucket/key or prefix; or several, one after the other. */
  readonly path: string | readonly string[];
  /** Where s3:// is read from; without it, such a path is refused. */
  readonly buckets?: (() => Buckets) | undefined;
  /** What to call it in messages; default: its path. */
  readonly name?: string;
  readonly tokenizer: TokenizerChoice;
  /** Where a document stands in JSON lines and parquet rows; default: text. */
  readonly field?: string;
  /** Of already tokenized text without a tokenizer. */
  readonly vocabulary?: number | undefined;
  /** The model learns by masking: char, byte and trained tokenizers then have `[PAD]` and `[MASK]`. */
  readonly masks?: boolean;
  /** Where the dataset is made and kept: see dataset-cache.ts. */
  readonly cache: string;
  /** Default: one a core, or none for a short text. Never changes the result. */
  readonly threads?: number;
  /** Throws when the dataset can't be used; it is not kept then. */
  readonly check?: (dataset: Dataset) => void;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
};

/** Below this many bytes starting a thread costs more than it saves. */
const SMALL_BYTES = 8 << 20;
const MOST_THREADS = 8;

/** One reading of all documents, piece by piece; what tokenizers are made from and tokens written by. */
export type Reader = {
  readonly documentsEnd: Separator;
  over<P extends Pass>(pass: P, what: Progress["what"]): AsyncIterable<ResultOf<P>>;
  readonly signal: AbortSignal | undefined;
  report(progress: Progress): void;
};

/**
 * Tokenizes texts into a dataset. The same texts and tokenizer give the same files, byte for byte. Memory does not
 * grow with the texts.
 *
 * @throws InvalidInput when a text can't be read, is empty, or is not UTF-8, and the signal's reason when aborted
 */
export async function prepareText(options: PrepareOptions): Promise<Dataset> {
  const { path, cache, check = () => {} } = options;
  const files = await findSources([path].flat(), nameOf(options), options.buckets);
  const fingerprint = fingerprintOf(options, files);
  const known = await recall(cache, fingerprint);
  if (known) {
    check(known);
    return known;
  }
  const write = async (directory: string) => {
    if (files[0]?.kind === "tokens") await copyTokens(options, files, directory);
    else await tokenize(options, files, directory);
    await checkUnchanged(files);
  };
  const dataset = await makeCached(cache, write, check);
  await remember(cache, fingerprint, dataset.digest);
  return dataset;
}

export const nameOf = ({ path, name = [path].flat().join(", ") }: PrepareOptions): string => name;

async function tokenize(options: PrepareOptions, files: SourceFile[], directory: string): Promise<void> {
  const { tokenizer: choice, masks = false } = options;
  const name = nameOf(options);
  const reader = readerOf(options, files);
  const tokenizer = await chooseTokenizer(choice, reader, masks, name);
  for (const [file, bytes] of Object.entries(tokenizer.files)) await writeFile(join(directory, file), bytes);
  const type = tokenizer.vocabulary > 0x10000 ? "uint32" : "uint16";
  const end = tokenizer.special.eos ?? tokenizer.special.sep;
  const separator = end ?? reader.documentsEnd;
  const pass = { kind: "encode", files: tokenizer.files, type, separator } as const;
  const file = await open(join(directory, TOKENS_FILE), "wx");
  try {
    const totals = await writeTokens(file, reader.over(pass, "tokenizing"));
    if (totals.tokens === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
    await writeFile(join(directory, META_FILE), encodeJson(metaOf(choice, tokenizer, totals)));
  } finally {
    await file.close();
  }
}

function readerOf(options: PrepareOptions, files: SourceFile[]): Reader {
  const { field = "text", signal, onProgress = () => {} } = options;
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const several = files.length > 1 || files[0]?.kind !== "text";
  const cores = Math.min(availableParallelism(), MOST_THREADS);
  const threads = options.threads ?? (total < SMALL_BYTES ? 0 : cores);
  return {
    documentsEnd: several ? "newline" : "nothing",
    signal,
    report: onProgress,
    over(pass, what) {
      let read = 0;
      const pieces = piecesOf(files, field, (bytes) => {
        read += bytes;
        onProgress({ what, share: Math.min(1, read / total) });
      });
      return passOver(pieces, pass, { threads, signal });
    },
  };
}

type Totals = Found & { readonly tokens: number };

async function writeTokens(file: FileHandle, results: AsyncIterable<Encoded>): Promise<Totals> {
  let totals = { documents: 0, bytes: 0, tokens: 0 };
  for await (const { ids, documents, bytes } of results) {
    await file.writeFile(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
    totals = {
      documents: totals.documents + documents,
      bytes: totals.bytes + bytes,
      tokens: totals.tokens + ids.length,
    };
  }
  return totals;
}

/** What is as it usually is goes unsaid. */
function metaOf(
  choice: TokenizerChoice,
  tokenizer: Tokenizer,
  { documents, bytes, tokens }: Totals,
): TextMeta {
  const special = knownIds(tokenizer.special);
  return {
    kind: "text",
    tokenizer: typeof choice === "string" ? choice : "train" in choice ? "trained" : "file",
    vocabulary: tokenizer.vocabulary,
    tokens,
    bytes,
    ...(documents > 1 ? { documents } : {}),
    ...(tokenizer.vocabulary > 0x10000 ? { type: "uint32" as const } : {}),
    ...(Object.keys(special).length > 0 ? { special } : {}),
  };
}

export const knownIds = (special: SpecialIds): NonNullable<TextMeta["special"]> =>
  Object.fromEntries(Object.entries(special).filter(([, id]) => id !== null));

/** A file is read more than once; its tokens are to be those of one state. */
async function checkUnchanged(files: readonly SourceFile[]): Promise<void> {
  for (const { name, isUnchanged } of files) {
    if (!(await isUnchanged())) throw new InvalidInput(`${name} changed while it was read; try again`);
  }
}
