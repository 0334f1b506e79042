import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { byteLevelFiles, byteTokenizerFiles } from "../tokenizers/byte-level.ts";
import { charTokenizerFiles, MAX_CHARACTERS } from "../tokenizers/char.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import { configFor, contentOf, END_OF_TEXT, MASK, PAD, SPECIAL_NAMES } from "../tokenizers/special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "../tokenizers/tokenizer.ts";
import { trainBpe } from "../tokenizers/train-bpe.ts";
import { fromVocabularyFiles, VOCABULARY_FILES } from "../tokenizers/vocabulary-files.ts";
import type { Reader } from "./prepare-text.ts";

/** `file` names a `tokenizer.json` or a directory that has one. */
export type TokenizerChoice =
  | "char"
  | "byte"
  | { readonly file: string }
  | { readonly train: { readonly vocab: number } };

/**
 * More distinct words than any language has in use, and 150 MB of memory with their pairs: what is past it are the
 * rarest, mostly misspelt.
 */
const MOST_WORDS = 500_000;

/**
 * The tokenizer of a job, made from its text where need be.
 *
 * @param masks it must have a token that stands for a hidden one
 * @param name what to call the text in messages
 */
export async function chooseTokenizer(
  choice: TokenizerChoice,
  reader: Reader,
  masks: boolean,
  name: string,
): Promise<Tokenizer> {
  const special = masks ? [PAD, MASK] : [];
  if (choice === "char") return openOwn(await charFiles(reader, special, name));
  if (choice === "byte") return openOwn(byteTokenizerFiles(special));
  if ("train" in choice) return openOwn(await trainedFiles(choice.train.vocab, reader, special, name));
  const tokenizer = readTokenizer(choice.file);
  if (masks && tokenizer.special.mask === null) {
    throw new InvalidInput(`${choice.file} must have a mask token to train by masking, it has none`);
  }
  return tokenizer;
}

const openOwn = (files: TokenizerFiles): Tokenizer => openTokenizer(files, "tokenizer.json");

async function charFiles(reader: Reader, special: readonly string[], name: string): Promise<TokenizerFiles> {
  const seen = new Uint8Array(0x110000);
  const pass = { kind: "characters", separator: reader.documentsEnd } as const;
  for await (const { codes } of reader.over(pass, "reading characters")) {
    for (const code of codes) seen[code] = 1;
  }
  const characters: string[] = [];
  for (let code = seen.indexOf(1); code !== -1; code = seen.indexOf(1, code + 1)) {
    characters.push(String.fromCodePoint(code));
  }
  if (characters.length === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
  if (characters.length + special.length > MAX_CHARACTERS) {
    throw new InvalidInput(
      `${name} has ${characters.length} distinct characters; the char tokenizer allows ${MAX_CHARACTERS}`,
    );
  }
  return charTokenizerFiles(characters, special);
}

async function trainedFiles(
  vocabulary: number,
  reader: Reader,
  special: readonly string[],
  name: string,
): Promise<TokenizerFiles> {
  const words = await countWords(reader);
  if (words.size === 0) throw new InvalidInput(`${name} is empty; give a text to train on`);
  const bpe = await trainBpe(words, {
    vocabulary,
    special: [END_OF_TEXT, ...special],
    onProgress: (tokens) =>
      reader.report({ what: "learning merges", share: Math.min(1, tokens / vocabulary) }),
    ...(reader.signal ? { signal: reader.signal } : {}),
  });
  return byteLevelFiles(bpe);
}

/** The words of all documents; of a text with more than MOST_WORDS, those that occur only once or a few times go. */
async function countWords(reader: Reader): Promise<Map<string, number>> {
  const total = new Map<string, number>();
  for await (const { words, counts } of reader.over({ kind: "words" }, "counting words")) {
    for (const [i, word] of words.entries()) total.set(word, (total.get(word) ?? 0) + (counts[i] ?? 0));
    for (let rare = 1; total.size > MOST_WORDS; rare++) dropRare(total, rare);
  }
  return total;
}

function dropRare(words: Map<string, number>, atMost: number): void {
  for (const [word, count] of words) if (count <= atMost) words.delete(word);
}

const LARGEST_FILE = 256 << 20;

/**
 * Reads a tokenizer from its files.
 *
 * @param path a `tokenizer.json`, or a directory that has one or the vocabulary to make it from
 * @throws InvalidInput when it is not there or can't be used
 */
export function readTokenizer(path: string): Tokenizer {
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const file = isDirectory ? join(path, "tokenizer.json") : path;
  const json = readSmall(file);
  try {
    if (json) return openTokenizer(withConfig(file, isDirectory, json), file);
    const made = isDirectory ? fromVocabularyFiles(vocabularyFiles(path), path) : null;
    if (made) return openTokenizer(made.files, path);
  } catch (error) {
    if (!(error instanceof CorruptData)) throw error;
    throw new InvalidInput(error.message, { cause: error });
  }
  throw new InvalidInput(`tokenizer.file must name a tokenizer.json or a directory with one, got ${path}`);
}

const vocabularyFiles = (directory: string) =>
  Object.fromEntries(VOCABULARY_FILES.map((name) => [name, readSmall(join(directory, name))]));

/** A lone tokenizer.json of any name takes no configuration from files that happen to be near. */
function withConfig(file: string, isDirectory: boolean, json: Uint8Array): TokenizerFiles {
  const directory = isDirectory || basename(file) === "tokenizer.json" ? dirname(file) : null;
  return { "tokenizer.json": json, "tokenizer_config.json": configBeside(directory, json) };
}

/** The configuration beside a `tokenizer.json`, with what older checkpoints keep in `special_tokens_map.json`. */
function configBeside(directory: string | null, json: Uint8Array): Uint8Array {
  const read = (name: string) => (directory === null ? null : readSmall(join(directory, name)));
  const config = read("tokenizer_config.json");
  const map = jsonObject(read("special_tokens_map.json"));
  const known = config === null ? configFor(addedContents(json)) : jsonObject(config);
  const more = SPECIAL_NAMES.map((name) => `${name}_token`).filter(
    (token) => known[token] == null && contentOf(map[token]) !== undefined,
  );
  if (config !== null && more.length === 0) return config;
  return encodeJson({
    ...known,
    ...Object.fromEntries(more.map((token) => [token, contentOf(map[token])])),
  });
}

function addedContents(json: Uint8Array): string[] {
  const added = jsonObject(json).added_tokens;
  return Array.isArray(added) ? added.flatMap((token) => contentOf(token) ?? []) : [];
}

/** Empty for what is no object: `openTokenizer` then says what is wrong. */
function jsonObject(bytes: Uint8Array | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes ?? new Uint8Array()));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function readSmall(path: string): Uint8Array | null {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info?.isFile()) return null;
  if (info.size > LARGEST_FILE) {
    throw new InvalidInput(`${path} must be at most ${LARGEST_FILE} bytes, got ${info.size}`);
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InvalidInput(`${path} can't be read: ${describe(cause)}`, { cause });
  }
}
