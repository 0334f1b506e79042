import { setImmediate } from "node:timers/promises";
import { InvalidInput } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import type { GenerativeModel } from "./generative-model.ts";
import { requireRows, rowsWithoutToken } from "./known-tokens.ts";
import { type Sampling, sampleToken } from "./sampling.ts";
import { SlidingContext } from "./sliding-context.ts";
import { TextStream } from "./text-stream.ts";

export type GenerateOptions = Sampling & {
  readonly model: GenerativeModel;
  /** Each with at least one character. They are continued together, each as if it were alone. */
  readonly prompts: readonly string[];
  readonly maxNewTokens: number;
  /** A text ends before the first of these in what is generated. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal;
};

export type Generated = {
  /** The continuation, without the prompt. */
  readonly text: string;
  /** The tokens generated, with the one that ends the text. */
  readonly tokens: number;
  /** The reason for its end: `maxNewTokens`, a token that ends texts, or a stop string. */
  readonly end: "length" | "end-of-text" | "stop";
};

/**
 * Continues prompts, token by token. The keys and values of earlier tokens are kept, so each token costs one pass over
 * itself only. When the context is full its oldest quarter leaves it and the rest is read once more: past the context a
 * token is predicted from at least three quarters of it, and the same text is continued in the same way wherever its
 * prompt ended.
 *
 * @param onText called with each new fragment of a text and its prompt's index in `prompts`, and waited for
 * @throws InvalidInput for an option out of range, or a prompt with unknown characters
 * @throws CorruptData when the model predicts numbers that are not finite, and the signal's reason when it is aborted
 */
export async function generate(
  options: GenerateOptions,
  onText: (fragment: string, prompt: number) => void | Promise<void> = () => {},
): Promise<Generated[]> {
  checkOptions(options);
  const { model, signal } = options;
  const barred = rowsWithoutToken(model, model.endTokens);
  const texts = options.prompts.map((prompt) => new Text(prompt, options, barred));
  const decoder = model.decoder({ count: texts.length, length: maxTokens(options, texts) });
  try {
    const tokens = texts.map((text) => text.tokens);
    const context = new SlidingContext(decoder, model.config.context, tokens);
    for (;;) {
      const open = [...texts.entries()].filter(([, { end }]) => end === null);
      if (open.length === 0) break;
      await setImmediate();
      signal?.throwIfAborted();
      const logits = context.next(open.map(([index]) => index));
      for (const [i, [index, text]] of open.entries()) {
        const fragment = text.extend(at(logits, i, "logits of a text"));
        if (fragment !== "") await onText(fragment, index);
      }
    }
  } finally {
    decoder.close();
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

/** The most tokens of a text that the decoder holds. */
const maxTokens = ({ model, maxNewTokens }: GenerateOptions, texts: readonly Text[]): number =>
  Math.min(model.config.context, maxNewTokens + Math.max(...texts.map(({ tokens }) => tokens.length)));

/** A prompt and its continuation. */
class Text {
  readonly tokens: number[];
  end: Generated["end"] | null = null;
  text = "";
  readonly #barred: readonly number[];
  readonly #options: GenerateOptions;
  readonly #stream: TextStream;
  readonly #promptTokens: number;

  constructor(prompt: string, options: GenerateOptions, barred: readonly number[]) {
    const { tokenizer } = options.model;
    this.#barred = barred;
    this.#options = options;
    this.tokens = tokenizer.encode(prompt, { special: true });
    if (this.tokens.length === 0) throw new InvalidInput("prompt must have at least one token");
    requireRows(options.model, this.tokens, "prompt");
    this.#promptTokens = this.tokens.length;
    const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecial: true });
    this.#stream = new TextStream(decode, options.stop, this.tokens);
  }

  get added(): number {
    return this.tokens.length - this.#promptTokens;
  }

  /** Chooses the next token; returns the fragment of text that it completes. */
  extend(logits: Float32Array): string {
    const token = sampleToken(logits, this.#options, {
      position: this.added,
      seen: this.tokens,
      barred: this.#barred,
    });
    this.tokens.push(token);
    const fragment = this.#accept(token);
    this.text += fragment;
    return fragment;
  }

  #accept(token: number): string {
    if (this.#options.model.endTokens.has(token)) {
      this.end = "end-of-text";
      return this.#stream.end();
    }
    let fragment = this.#stream.push(token);
    if (!this.#stream.stopped && this.added === this.#options.maxNewTokens) {
      this.end = "length";
      fragment += this.#stream.end();
    }
    if (this.#stream.stopped) this.end = "stop";
    return fragment;
  }
}
