import type { Decoder, NewToken } from "./decoder.ts";

/** The tokens of a text, which grow. */
export type Tokens = readonly number[];

/** What leaves a full context at a time, of the whole. With half of it tokens would cost less and be predicted from less. */
const DROPPED = 1 / 4;

/**
 * The first token that the model sees of a text. It depends on the text's length alone, so a text goes on in the same
 * way wherever its prompt ended.
 *
 * @param length of the text so far, in tokens
 * @param context the most tokens that the model sees
 */
export function firstSeen(length: number, context: number): number {
  const dropped = Math.ceil(context * DROPPED);
  return Math.max(0, Math.ceil((length - context) / dropped) * dropped);
}

/**
 * Reads texts that grow by a token at a time, and of each one only what is new. When a context is full its oldest
 * quarter leaves it, and the rest is read once more, at its new positions: three tokens for each that comes after.
 */
export class SlidingContext {
  readonly #decoder: Pick<Decoder, "read">;
  readonly #context: number;
  readonly #texts: readonly Tokens[];
  /** How many tokens of each text have been read. */
  readonly #read: number[];

  /** @param texts as many as the decoder holds; they may grow between calls of `next` */
  constructor(decoder: Pick<Decoder, "read">, context: number, texts: readonly Tokens[]) {
    this.#decoder = decoder;
    this.#context = context;
    this.#texts = texts;
    this.#read = texts.map(() => 0);
  }

  /**
   * The logits of what follows some of the texts, each longer than when it was last asked for.
   *
   * @param texts places of the texts
   */
  next(texts: readonly number[]): Float32Array[] {
    return this.#decoder.read(texts.flatMap((text) => this.#added(text)));
  }

  #added(text: number): NewToken[] {
    const tokens = this.#texts[text] ?? [];
    const read = this.#read[text] ?? 0;
    const first = firstSeen(tokens.length, this.#context);
    // What was read stays where it was as long as the context begins there.
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
