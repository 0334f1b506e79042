import { setImmediate } from "node:timers/promises";
import type { Tensor } from "@tensorflow/tfjs";
import { InvalidInput } from "../protocol/errors.ts";
import { type Cache, disposeCache, joinCaches, selectSequences } from "./inference/cache.ts";
import { type Decoder, decoderOf, paddingMask, prefill } from "./inference/decoder.ts";
import type { LanguageModel } from "./inference/language-model.ts";
import { type Sampling, sampleToken } from "./inference/sampling.ts";
import { TextStream } from "./inference/text-stream.ts";

export type GenerateOptions = Sampling & {
  readonly model: LanguageModel;
  /** Each with at least one character. They are continued side by side, each as if it were alone. */
  readonly prompts: readonly string[];
  readonly maxNewTokens: number;
  /** A text ends before the first of these that comes up in what is added. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal;
};

export type Generated = {
  /** The continuation, without the prompt. */
  readonly text: string;
  /** How many tokens it took, one that ends the text included. */
  readonly tokens: number;
  /** Why it ended: `maxNewTokens`, a token that ends texts, or a stop string. */
  readonly end: "length" | "end-of-text" | "stop";
};

/**
 * Continues prompts, token by token. The keys and values of the tokens before are kept, so a token costs one pass over
 * itself only, until the context is full: from then on the oldest token leaves the context for each new one, all
 * positions change, and a token costs a pass over the whole context.
 *
 * @param onText called with each new piece of a text and its prompt's place in `prompts`, and waited for
 * @throws InvalidInput for an option out of range, a prompt with unknown characters, or a model that can't do this
 * @throws CorruptData when the model predicts numbers that are not finite, and the signal's reason when it is aborted
 */
export async function generate(
  options: GenerateOptions,
  onText: (piece: string, prompt: number) => void | Promise<void> = () => {},
): Promise<Generated[]> {
  checkOptions(options);
  const { model, signal } = options;
  const texts = options.prompts.map((prompt) => new Text(model, prompt, options));
  const reader = new Reader(model, decoderOf(model.kit, model.family.type, model.config, model.theta));
  try {
    for (;;) {
      const open = texts.filter(({ end }) => end === null);
      if (open.length === 0) break;
      await setImmediate();
      signal?.throwIfAborted();
      const logits = reader.next(open);
      for (const [i, text] of open.entries()) {
        const piece = text.extend(logits[i] ?? new Float32Array());
        if (piece !== "") await onText(piece, texts.indexOf(text));
      }
    }
  } finally {
    reader.close();
  }
  return texts.map(({ text, added, end }) => ({ text, tokens: added, end: end ?? "length" }));
}

function checkOptions(options: GenerateOptions): void {
  const { prompts, maxNewTokens, temperature, topK, topP = 1, repetitionPenalty = 1 } = options;
  const problems: string[] = [];
  if (prompts.length === 0 || prompts.includes("")) problems.push("prompt must have at least one character");
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    problems.push(`maxNewTokens must be a whole number of at least 1, got ${maxNewTokens}`);
  }
  if (!(temperature >= 0 && temperature < Infinity)) {
    problems.push(`temperature must be at least 0, got ${temperature}`);
  }
  if (topK != null && (!Number.isSafeInteger(topK) || topK < 1)) {
    problems.push(`topK must be a whole number of at least 1, got ${topK}`);
  }
  if (!(topP > 0 && topP <= 1)) problems.push(`topP must be above 0 and at most 1, got ${topP}`);
  if (!(repetitionPenalty > 0 && repetitionPenalty < Infinity)) {
    problems.push(`repetitionPenalty must be above 0, got ${repetitionPenalty}`);
  }
  if (problems.length > 0) throw new InvalidInput(problems);
}

/** One prompt and what is added to it. */
class Text {
  readonly tokens: number[];
  end: Generated["end"] | null = null;
  text = "";
  readonly #model: LanguageModel;
  readonly #options: GenerateOptions;
  readonly #stream: TextStream;
  readonly #promptTokens: number;

  constructor(model: LanguageModel, prompt: string, options: GenerateOptions) {
    const { tokenizer } = model;
    this.#model = model;
    this.#options = options;
    this.tokens = tokenizer.encode(prompt, { special: true });
    if (this.tokens.length === 0) throw new InvalidInput("prompt must have at least one token");
    this.#promptTokens = this.tokens.length;
    // A model may have more rows than its tokenizer has tokens.
    const decode = (ids: readonly number[]) =>
      tokenizer.decode(
        ids.filter((id) => id < tokenizer.vocabulary),
        { skipSpecial: true },
      );
    this.#stream = new TextStream(decode, options.stop, this.tokens);
  }

  get added(): number {
    return this.tokens.length - this.#promptTokens;
  }

  /** Chooses the next token; returns the text that is certain with it. */
  extend(logits: Float32Array): string {
    const token = sampleToken(logits, this.#options, this.added, this.tokens);
    this.tokens.push(token);
    const piece = this.#accept(token);
    this.text += piece;
    return piece;
  }

  #accept(token: number): string {
    if (this.#model.ends.has(token)) {
      this.end = "end-of-text";
      return this.#stream.end();
    }
    let piece = this.#stream.push(token);
    if (!this.#stream.stopped && this.added === this.#options.maxNewTokens) {
      this.end = "length";
      piece += this.#stream.end();
    }
    if (this.#stream.stopped) this.end = "stop";
    return piece;
  }
}

/** What a text's tokens are read with; keeps the cache of those texts that the context still holds whole. */
class Reader {
  readonly #model: LanguageModel;
  readonly #decoder: Decoder;
  #cache: Cache | null = null;
  /** The texts in the cache, one a row. */
  #rows: readonly Text[] = [];

  constructor(model: LanguageModel, decoder: Decoder) {
    this.#model = model;
    this.#decoder = decoder;
  }

  /** The logits of what follows each text. The same texts come each time, in the same order, but for those that ended. */
  next(texts: readonly Text[]): Float32Array[] {
    const { context } = this.#model.config;
    const whole = texts.filter(({ tokens }) => tokens.length <= context);
    const cached = new Map<Text, Float32Array>();
    for (const [i, logits] of this.#read(whole).entries()) {
      const text = whole[i];
      if (text) cached.set(text, logits);
    }
    return texts.map((text) => cached.get(text) ?? this.#window(text.tokens.slice(-context)));
  }

  close(): void {
    this.#replace(null, []);
  }

  #read(texts: readonly Text[]): Float32Array[] {
    if (texts.length === 0) {
      this.#replace(null, []);
      return [];
    }
    if (!this.#cache) return this.#start(texts);
    if (texts.length < this.#rows.length) {
      const kept = texts.map((text) => this.#rows.indexOf(text));
      this.#replace(selectSequences(this.#model.kit, this.#cache, kept), texts);
    }
    return this.#step(this.#cache);
  }

  #start(texts: readonly Text[]): Float32Array[] {
    const { kit } = this.#model;
    const read = texts.map(({ tokens }) => {
      const { logits, cache } = prefill(kit, this.#decoder, tokens);
      return { logits: take(logits), cache };
    });
    const [only] = read;
    if (only && read.length === 1) this.#replace(only.cache, texts);
    else {
      const caches = read.map(({ cache }) => cache);
      this.#replace(joinCaches(kit, caches), texts);
      for (const cache of caches) disposeCache(kit, cache);
    }
    return read.map(({ logits }) => logits);
  }

  #step(cache: Cache): Float32Array[] {
    const { kit } = this.#model;
    const { tf } = kit;
    const lengths = this.#rows.map(({ tokens }) => tokens.length);
    const { logits, cache: next } = tf.tidy(() =>
      this.#decoder.step({
        sequences: this.#rows.length,
        length: 1,
        ids: tf.tensor1d(
          this.#rows.map(({ tokens }) => tokens.at(-1) ?? 0),
          "int32",
        ),
        positions: lengths.map((length) => length - 1),
        cache,
        mask: paddingMask(
          kit,
          lengths.map((length) => cache.length + 1 - length),
          cache.length + 1,
        ),
      }),
    );
    this.#replace(next, this.#rows);
    const all = take(logits);
    const size = all.length / this.#rows.length;
    return this.#rows.map((_, row) => all.slice(row * size, (row + 1) * size));
  }

  /** Reads a full context anew: every token has moved. */
  #window(tokens: readonly number[]): Float32Array {
    const { logits, cache } = prefill(this.#model.kit, this.#decoder, tokens);
    disposeCache(this.#model.kit, cache);
    return take(logits);
  }

  #replace(cache: Cache | null, rows: readonly Text[]): void {
    if (this.#cache) disposeCache(this.#model.kit, this.#cache);
    this.#cache = cache;
    this.#rows = rows;
  }
}

/** A tensor's values; disposes it. */
function take(tensor: Tensor): Float32Array {
  const values = tensor.dataSync<"float32">();
  tensor.dispose();
  return values;
}
