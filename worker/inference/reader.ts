import type { Added, Decoder } from "./decoder.ts";

/** The tokens of a text, which grow. */
export type Tokens = readonly number[];

/** Reads texts that grow by a token at a time, and of each one only what is new as long as the context holds it whole. */
export class Reader {
  readonly #decoder: Decoder;
  readonly #context: number;
  readonly #texts: readonly Tokens[];
  /** How many tokens of each text have been read. */
  readonly #read: number[];

  /** @param texts as many as the decoder holds; they may grow between calls of `next` */
  constructor(decoder: Decoder, context: number, texts: readonly Tokens[]) {
    this.#decoder = decoder;
    this.#context = context;
    this.#texts = texts;
    this.#read = texts.map(() => 0);
  }

  /**
   * The logits of what follows some of the texts, each a token longer than when it was last asked for.
   *
   * @param texts places of the texts
   */
  next(texts: readonly number[]): Float32Array[] {
    return this.#decoder.read(texts.flatMap((text) => this.#added(text)));
  }

  #added(text: number): Added[] {
    const tokens = this.#texts[text] ?? [];
    // In a full context every token moves when one is added, so all are read anew.
    const first = Math.max(0, tokens.length - this.#context);
    const start = first > 0 ? first : (this.#read[text] ?? 0);
    this.#read[text] = tokens.length;
    return tokens.slice(start).map((token, i) => ({
      token,
      text,
      position: start - first + i,
      wanted: start + i === tokens.length - 1,
    }));
  }
}
