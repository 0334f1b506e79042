import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { required } from "../../protocol/required.ts";
import { type AddedToken, addedToken, withAddedTokens } from "./added-tokens.ts";
import { configFor, type SpecialIds } from "./special-tokens.ts";
import { type Tokenizer, type TokenizerFiles, withEncode } from "./tokenizer.ts";

export const MAX_CHARACTERS = 65_536;

/** In no vocabulary: the `tokenizers` library then refuses an unknown character instead of dropping it. */
const UNKNOWN = "<|unknown|>";

/** Makes every character, newlines too, a word of its own. */
export const CHAR_PRE_TOKENIZER = {
  type: "Split",
  pattern: { Regex: "[\\s\\S]" },
  behavior: "Isolated",
  invert: false,
} as const;

/**
 * Returns `tokenizer.json` and `tokenizer_config.json` of a char tokenizer: one token per Unicode code point, as a
 * WordLevel model that Hugging Face's `AutoTokenizer` loads.
 *
 * @param characters the vocabulary in the order of its ids
 * @param special tokens whose ids follow
 */
export function charTokenizerFiles(
  characters: readonly string[],
  special: readonly string[] = [],
): Record<string, Uint8Array> {
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((token, i) => addedToken(token, characters.length + i)),
    normalizer: null,
    pre_tokenizer: CHAR_PRE_TOKENIZER,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries([...characters, ...special].map((token, id) => [token, id])),
      unk_token: UNKNOWN,
    },
  };
  return {
    "tokenizer.json": encodeJson(tokenizer),
    "tokenizer_config.json": encodeJson(configFor(special)),
  };
}

/**
 * Opens a char tokenizer.
 *
 * @throws CorruptData when the ids of the vocabulary are not 0, 1, 2, ...
 */
export function charTokenizer(
  vocab: ReadonlyMap<string, number>,
  added: readonly AddedToken[],
  special: SpecialIds,
  files: TokenizerFiles,
  what: string,
): Tokenizer {
  const tokens = new Map([...vocab].map(([token, id]) => [id, token]));
  for (let id = 0; id < vocab.size; id++) {
    if (!tokens.has(id)) throw new CorruptData(`${what} has ${vocab.size} tokens, but none with id ${id}`);
  }
  const addedIds = new Set(added.map(({ id }) => id));
  return withEncode({
    files,
    vocabulary: vocab.size,
    has: (id) => tokens.has(id),
    special,
    cuts: { kind: "characters", tokens: added.map(({ content }) => content) },
    encodeTo: withAddedTokens(added, (text, ids) => {
      for (const character of text) ids.push(vocab.get(character) ?? unknown(character));
    }),
    decode: (ids, { skipSpecial = false } = {}) =>
      ids
        .filter((id) => !(skipSpecial && addedIds.has(id)))
        .map((id) => tokens.get(id) ?? outside(id))
        .join(""),
  });
}

function unknown(character: string): never {
  const code = required(character.codePointAt(0), "the character")
    .toString(16)
    .toUpperCase()
    .padStart(4, "0");
  throw new InvalidInput(
    `the model does not know the character ${JSON.stringify(character)} (U+${code}): ` +
      "its tokenizer has only the characters of the text it was trained on",
  );
}

/** Refuses an id that no token has. @throws InvalidInput always */
export function outside(id: number): never {
  throw new InvalidInput(`a token id must be one of the tokenizer's, got ${id}`);
}
