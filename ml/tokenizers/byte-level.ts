import { encodeJson } from "../../protocol/json.ts";
import { required } from "../../protocol/required.ts";
import { addedToken } from "./added-tokens.ts";
import { configFor, END_OF_TEXT } from "./special-tokens.ts";

/**
 * Byte-level tokens: every byte has a printable character that stands for it in `tokenizer.json`, so that any text
 * can be written. Source: `bytes_to_unicode` of OpenAI's GPT-2 encoder.py.
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : next++);
  });
}

/** The byte that each character stands for. */
export const BYTE_OF: ReadonlyMap<string, number> = new Map(
  BYTE_CHARACTERS.map((character, byte) => [character, byte]),
);

export type Bpe = {
  /** Tokens in the order of their ids, in byte characters. */
  readonly tokens: readonly string[];
  /** Pairs of tokens that become one, by rank. */
  readonly merges: readonly (readonly [string, string])[];
  /** The special tokens among the tokens. */
  readonly special: readonly string[];
  /** Merges stay within words; false: there are no words. */
  readonly words: boolean;
};

/** Returns `tokenizer.json` and `tokenizer_config.json` of a byte-level tokenizer. */
export function byteLevelFiles({ tokens, merges, special, words }: Bpe): Record<string, Uint8Array> {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: special.map((token) => addedToken(token, required(ids.get(token), `the id of ${token}`))),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: words },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: words },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges,
    },
  };
  return {
    "tokenizer.json": encodeJson(tokenizer),
    "tokenizer_config.json": encodeJson(configFor(special)),
  };
}

/**
 * Returns the files of the byte tokenizer: a byte's id is its value, then come `<|endoftext|>` (256) and more special tokens.
 */
export function byteTokenizerFiles(special: readonly string[] = []): Record<string, Uint8Array> {
  const all = [END_OF_TEXT, ...special];
  return byteLevelFiles({ tokens: [...BYTE_CHARACTERS, ...all], merges: [], special: all, words: false });
}
