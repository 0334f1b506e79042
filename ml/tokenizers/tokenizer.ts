import type { CutRule } from "./cut-rule.ts";
import { IdList } from "./id-list.ts";
import type { SpecialIds } from "./special-tokens.ts";

/** The files of a tokenizer by name, as Hugging Face's `AutoTokenizer` loads them. */
export type TokenizerFiles = Readonly<Record<string, Uint8Array>>;

export const TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json"] as const;

export type Tokenizer = {
  readonly files: TokenizerFiles;
  /** Every id is below it. */
  readonly vocabulary: number;
  /** True for the id of a token; some ids below `vocabulary` may have none. */
  has(id: number): boolean;
  readonly special: SpecialIds;
  readonly cuts: CutRule;
  /**
   * Returns the ids of a text. Special tokens written out in it, such as `<|endoftext|>` or `[MASK]`, count as such.
   *
   * @param options.special adds what a model of this kind expects around a text, `[CLS] ... [SEP]` for BERT; default: no
   * @throws InvalidInput naming the first character that the vocabulary lacks, for a char tokenizer
   */
  encode(text: string, options?: { readonly special?: boolean }): number[];
  /** Adds the ids of a text, as `encode` gives them, to a list: for texts of many megabytes. */
  encodeTo(text: string, ids: IdList): void;
  /**
   * Returns the text of ids. A character cut in the middle reads as U+FFFD.
   *
   * @param options.skipSpecial leaves special tokens out; default: they are written out
   * @throws InvalidInput for an id outside the vocabulary
   */
  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string;
};

/** Completes a tokenizer whose `encode` never adds special tokens of its own. */
export function withEncode(tokenizer: Omit<Tokenizer, "encode">): Tokenizer {
  return {
    ...tokenizer,
    encode(text) {
      const ids = new IdList();
      tokenizer.encodeTo(text, ids);
      return [...ids.view()];
    },
  };
}
