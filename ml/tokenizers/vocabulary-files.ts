import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import type { AddedToken } from "./added-tokens.ts";
import { BYTE_LEVEL_BPE } from "./bpe-vocabulary.ts";
import { declaredTokens } from "./declared-tokens.ts";
import { contentOf, SPECIAL_NAMES, type SpecialName } from "./special-tokens.ts";
import {
  asObject,
  type Json,
  jsonFile,
  type SpecialToken,
  type VocabularyFiles,
  type VocabularyKind,
} from "./vocabulary-kind.ts";
import { WORD_PIECE } from "./wordpiece-vocabulary.ts";

/** The files that a tokenizer from before `tokenizer.json` may have. */
export const VOCABULARY_FILES = [
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
  "special_tokens_map.json",
  "tokenizer_config.json",
] as const;

export type ConvertedTokenizer = {
  /** `tokenizer.json` and `tokenizer_config.json`. */
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Says what was done, for people. */
  readonly note: string;
};

/**
 * Converts the tokenizer of a checkpoint from before `tokenizer.json`: `vocab.txt` (BERT's WordPiece), or `vocab.json`
 * and `merges.txt` (GPT-2's byte-level BPE), into the `tokenizer.json` that `transformers` makes of them.
 *
 * @param directory names the files in errors
 * @returns null where the files are not there
 * @throws InvalidInput for a kind of tokenizer that these files are not enough for
 * @throws CorruptData when a file is damaged
 */
export function fromVocabularyFiles(files: VocabularyFiles, directory: string): ConvertedTokenizer | null {
  const kind = kindOf(files);
  if (!kind) return null;
  const map = jsonFile(files, "special_tokens_map.json", directory);
  const named = namedTokens(jsonFile(files, "tokenizer_config.json", directory), map, kind);
  const config: Json = { tokenizer_class: kind.defaultClass, ...named };
  checkClass(kind, config, directory);
  const vocab = kind.vocabulary(files, directory);
  const added = declaredTokens(config, jsonFile(files, "added_tokens.json", directory), vocab, directory);
  const special = (name: SpecialName) => specialToken(name, config, added, directory);
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    ...kind.parts(files, { config, vocab, special }, directory),
  };
  return {
    files: { "tokenizer.json": encodeJson(tokenizer), "tokenizer_config.json": encodeJson(config) },
    note: `${directory} has no tokenizer.json; it is made from ${kind.from}`,
  };
}

function kindOf(files: VocabularyFiles): VocabularyKind | null {
  if (files["vocab.json"] && files["merges.txt"]) return BYTE_LEVEL_BPE;
  return files["vocab.txt"] ? WORD_PIECE : null;
}

function checkClass({ classes, from }: VocabularyKind, { tokenizer_class }: Json, directory: string): void {
  if (classes.test(String(tokenizer_class))) return;
  throw new InvalidInput(
    `${directory} must have a tokenizer.json, as its tokenizer_class ${tokenizer_class} needs more than ` +
      `${from}; make one: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) in Python's transformers`,
  );
}

function specialToken(
  name: SpecialName,
  config: Json,
  added: readonly AddedToken[],
  directory: string,
): SpecialToken {
  const content = contentOf(config[`${name}_token`]);
  const token = added.find((each) => each.content === content);
  if (!token) throw new CorruptData(`${directory}: its tokenizer must have a ${name}_token, it has none`);
  return token;
}

/** The configuration with every special token that it, the map or the kind has. */
function namedTokens(config: Json, map: Json, { defaultSpecial }: VocabularyKind): Json {
  const named = SPECIAL_NAMES.flatMap((name) => {
    const field = `${name}_token`;
    const token = config[field] === undefined ? (map[field] ?? defaultSpecial[field]) : config[field];
    return token === undefined ? [] : [[field, withType(token)] as const];
  });
  return { ...config, ...Object.fromEntries(named) };
}

/** Adds the type to a token with settings of its own: `tokenizer_config.json` has it, the other files do not. */
const withType = (token: unknown): unknown =>
  contentOf(token) === undefined || typeof token === "string"
    ? token
    : { __type: "AddedToken", ...asObject(token) };
