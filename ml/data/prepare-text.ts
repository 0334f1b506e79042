import { type FileHandle, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import { chooseTokenizer } from "./choose-tokenizer.ts";
import { copyTokens } from "./copy-tokens.ts";
import type { Counted, Encoded } from "./corpus-pass.ts";
import { corpusReader } from "./corpus-reader.ts";
import { type Dataset, META_FILE, specialOfMeta, type TextMeta, TOKENS_FILE, typeOf } from "./dataset.ts";
import { makeCached } from "./dataset-cache.ts";
import { nameOf, type PrepareOptions, type TokenizerChoice } from "./prepare-options.ts";
import type { SourceFile } from "./source-file.ts";
import { findRemembered, fingerprintOf, remember } from "./source-fingerprint.ts";
import { findSources } from "./sources.ts";

/**
 * Tokenizes texts into a dataset. The same texts and tokenizer give the same files, byte for byte. Memory does not
 * grow with the texts.
 *
 * @throws InvalidInput when a text can't be read, is empty, or is not UTF-8, and the signal's reason when aborted
 */
export async function prepareText(options: PrepareOptions): Promise<Dataset> {
  const { path, stores, field = "text", cache, check = () => {}, onSources = () => {} } = options;
  const sources = await findSources([path].flat(), { name: nameOf(options), field, stores });
  onSources(sources);
  const { files } = sources;
  const fingerprint = fingerprintOf(options, files);
  const earlier = await findRemembered(cache, fingerprint);
  if (earlier) {
    check(earlier);
    return earlier;
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

async function tokenize(
  options: PrepareOptions,
  files: readonly SourceFile[],
  directory: string,
): Promise<void> {
  const { tokenizer: choice, masks = false } = options;
  const name = nameOf(options);
  const reader = corpusReader(options, files);
  const tokenizer = await chooseTokenizer(choice, reader, masks, name);
  for (const [file, bytes] of Object.entries(tokenizer.files)) await writeFile(join(directory, file), bytes);
  const end = tokenizer.special.eos ?? tokenizer.special.sep;
  const separator = end ?? reader.documentsEnd;
  const type = typeOf(tokenizer.vocabulary);
  const pass = { kind: "encode", files: tokenizer.files, type, separator } as const;
  const file = await open(join(directory, TOKENS_FILE), "wx");
  try {
    const training = await writeTokens(file, reader.apply(pass, "tokenizing", tokenizer.cuts, "training"));
    const heldOut = await writeTokens(file, reader.apply(pass, "tokenizing", tokenizer.cuts, "heldOut"));
    if (training.tokens === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
    await writeFile(
      join(directory, META_FILE),
      encodeJson(metaOf(choice, tokenizer, sum(training, heldOut), heldOut.tokens)),
    );
  } finally {
    await file.close();
  }
}

type Totals = Counted & { readonly tokens: number };

async function writeTokens(file: FileHandle, results: AsyncIterable<Encoded>): Promise<Totals> {
  let totals: Totals = { documents: 0, bytes: 0, tokens: 0 };
  for await (const { ids, documents, bytes } of results) {
    await file.writeFile(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength));
    totals = sum(totals, { documents, bytes, tokens: ids.length });
  }
  return totals;
}

const sum = (a: Totals, b: Totals): Totals => ({
  documents: a.documents + b.documents,
  bytes: a.bytes + b.bytes,
  tokens: a.tokens + b.tokens,
});

/** Fields that have their default value are left out. */
function metaOf(
  choice: TokenizerChoice,
  tokenizer: Tokenizer,
  { documents, bytes, tokens }: Totals,
  heldOut: number,
): TextMeta {
  const { vocabulary, special } = tokenizer;
  return {
    kind: "text",
    tokenizer: typeof choice === "string" ? choice : "train" in choice ? "trained" : "file",
    vocabulary,
    tokens,
    bytes,
    ...(heldOut > 0 ? { heldOut } : {}),
    ...(documents > 1 ? { documents } : {}),
    ...(typeOf(vocabulary) === "uint32" ? { type: "uint32" as const } : {}),
    ...specialOfMeta(special),
  };
}

/** A file is read more than once; its tokens are to be those of one state. */
async function checkUnchanged(files: readonly SourceFile[]): Promise<void> {
  for (const { name, isUnchanged } of files) {
    if (!(await isUnchanged())) throw new InvalidInput(`${name} changed while it was read; try again`);
  }
}
