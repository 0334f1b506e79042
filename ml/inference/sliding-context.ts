import { at } from "../../protocol/required.ts";
import type { Decoder, NewToken } from "./decoder.ts";

/** The tokens of a text, which grow. */
export type Tokens = readonly number[];

/** The share of a full context that leaves it at a time. Half of it would cost less, but predict from fewer tokens. */
const DROPPED_SHARE = 1 / 4;

/**
 * Returns the first token of a text that the model sees. It depends on the text's length alone, so the same text is
 * continued in the same way wherever its prompt ended.
 *
 * @param length of the text so far, in tokens
 * @param context the most tokens that the model sees
 */
export function firstSeen(length: number, context: number): number {
  const dropped = Math.ceil(context * DROPPED_SHARE);
  return Math.max(0, Math.ceil((length - context) / dropped) * dropped);
}

/**
 * Reads texts that grow by a token at a time, and only the new tokens of each. When a context is full its oldest quarter
 * leaves it, and the rest is read once more at its new positions: three tokens for each one that follows.
 */
export class SlidingContext {
  readonly #decoder: Pick<Decoder, "read">;
  readonly #context: number;
  readonly #texts: readonly Tokens[];
  /** The number of tokens read of each text. */
  readonly #read: number[];

  /** @param texts as many as the decoder holds; they may grow between calls of `next` */
  constructor(decoder: Pick<Decoder, "read">, context: number, texts: readonly Tokens[]) {
    this.#decoder = decoder;
    this.#context = context;
    this.#texts = texts;
    this.#read = texts.map(() => 0);
  }

  /**
   * Returns the logits of what follows some of the texts; each must have grown since its last call.
   *
   * @param texts indices of the texts
   */
  next(texts: readonly number[]): Float32Array[] {
    return this.#decoder.read(texts.flatMap((text) => this.#newTokens(text)));
  }

  #newTokens(text: number): NewToken[] {
    const tokens = at(this.#texts, text, "text");
    const read = at(this.#read, text, "text");
    const first = firstSeen(tokens.length, this.#context);
    // Tokens that were read keep their positions as long as the context begins at the same token.
    const start = firstSeen(read, this.#context) === first ? read : first;
    this.#read[text] = tokens.length;
    return tokens.slice(start).map((token, i) => ({
      token,
      text,
      position: start - first + i,
      wanted: start + i === tokens.length - 1,
    }));
  }
}
