import { readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CorruptData, describe, InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { openTokenizer } from "../tokenizers/open-tokenizer.ts";
import { configFor, contentOf, SPECIAL_NAMES } from "../tokenizers/special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "../tokenizers/tokenizer.ts";
import { fromVocabularyFiles, VOCABULARY_FILES } from "../tokenizers/vocabulary-files.ts";

const MAX_FILE_BYTES = 256 << 20;

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
    const converted = isDirectory ? fromVocabularyFiles(vocabularyFiles(path), path) : null;
    if (converted) return openTokenizer(converted.files, path);
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
  const bytes = read("tokenizer_config.json");
  const map = jsonObject(read("special_tokens_map.json"));
  const config = bytes === null ? configFor(addedContents(json)) : jsonObject(bytes);
  const more = SPECIAL_NAMES.map((name) => `${name}_token`).filter(
    (token) => config[token] == null && contentOf(map[token]) !== undefined,
  );
  if (bytes !== null && more.length === 0) return bytes;
  return encodeJson({
    ...config,
    ...Object.fromEntries(more.map((token) => [token, contentOf(map[token])])),
  });
}

function addedContents(json: Uint8Array): string[] {
  const added = jsonObject(json).added_tokens;
  return Array.isArray(added) ? added.flatMap((token) => contentOf(token) ?? []) : [];
}

/** The object in a JSON file; empty for anything else, as `openTokenizer` then says what is wrong. */
function jsonObject(bytes: Uint8Array | null): Record<string, unknown> {
  if (bytes === null) return {};
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function readSmall(path: string): Uint8Array | null {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info?.isFile()) return null;
  if (info.size > MAX_FILE_BYTES) {
    throw new InvalidInput(`${path} must be at most ${MAX_FILE_BYTES} bytes, got ${info.size}`);
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InvalidInput(`${path} can't be read: ${describe(cause)}`, { cause });
  }
}
