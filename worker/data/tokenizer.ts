import { z } from "zod";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { parseAs } from "../../protocol/parse.ts";
import { encodeRecord } from "../../protocol/records.ts";

/**
 * The char tokenizer, one token per Unicode code point, in the files that Hugging Face's `AutoTokenizer` loads:
 * a WordLevel model over a pre-tokenizer that makes every character, newlines too, a word of its own.
 */
export const MAX_VOCABULARY = 65_536;

/** In no vocabulary: the `tokenizers` library then refuses an unknown character instead of dropping it. */
const UNKNOWN = "<|unknown|>";

/** `tokenizer.json` and `tokenizer_config.json` for a vocabulary in the order of its ids. */
export function charTokenizerFiles(characters: readonly string[]): Record<string, Uint8Array> {
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Split", pattern: { Regex: "[\\s\\S]" }, behavior: "Isolated", invert: false },
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(characters.map((character, id) => [character, id])),
      unk_token: UNKNOWN,
    },
  };
  const config = { tokenizer_class: "PreTrainedTokenizerFast", clean_up_tokenization_spaces: false };
  return { "tokenizer.json": encodeRecord(tokenizer), "tokenizer_config.json": encodeRecord(config) };
}

export type Tokenizer = {
  readonly vocabulary: number;
  /** @throws InvalidInput naming the first character the vocabulary lacks */
  encode(text: string): number[];
  /** @throws InvalidInput for an id outside the vocabulary */
  decode(ids: readonly number[]): string;
};

const fileSchema = z.object({
  pre_tokenizer: z.object({ type: z.literal("Split") }),
  model: z.object({ type: z.literal("WordLevel"), vocab: z.record(z.string(), z.int().min(0)) }),
});

/**
 * Reads a `tokenizer.json` that `charTokenizerFiles` wrote.
 *
 * @param what names the file in errors
 * @throws CorruptData when it is not such a file
 */
export function openTokenizer(bytes: Uint8Array, what: string): Tokenizer {
  const { vocab } = parseAs(fileSchema, bytes, what).model;
  const ids = new Map(Object.entries(vocab));
  const characters = new Map([...ids].map(([character, id]) => [id, character]));
  for (let id = 0; id < ids.size; id++) {
    if (!characters.has(id)) throw new CorruptData(`${what} has ${ids.size} tokens, but none with id ${id}`);
  }
  return {
    vocabulary: ids.size,
    encode: (text) => [...text].map((character) => ids.get(character) ?? unknown(character)),
    decode: (tokens) => tokens.map((id) => characters.get(id) ?? outside(id, ids.size)).join(""),
  };
}

function unknown(character: string): never {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  throw new InvalidInput(
    `the model does not know the character ${JSON.stringify(character)} (U+${code}): ` +
      "its tokenizer has only the characters of the text it was trained on",
  );
}

function outside(id: number, vocabulary: number): never {
  throw new InvalidInput(`token ids must be below ${vocabulary}, got ${id}`);
}
