import { setImmediate } from "node:timers/promises";
import { InvalidInput } from "../../protocol/errors.ts";
import type { GenerativeModel } from "./generative-model.ts";
import { type Sampling, sampleToken } from "./sampling.ts";
import { SlidingContext } from "./sliding-context.ts";
import { TextStream } from "./text-stream.ts";

export type GenerateOptions = Sampling & {
  readonly model: GenerativeModel;
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
 * itself only. When the context is full its oldest quarter leaves it and the rest is read once more: past the context a
 * token is predicted from the last three quarters of it or more, and a text goes on in the same way wherever its prompt
 * ended.
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
  const decoder = model.decoder({ count: texts.length, length: mostTokens(options, texts) });
  try {
    const tokens = texts.map((text) => text.tokens);
    const reader = new SlidingContext(decoder, model.config.context, tokens);
    for (;;) {
      const open = [...texts.entries()].filter(([, { end }]) => end === null);
      if (open.length === 0) break;
      await setImmediate();
      signal?.throwIfAborted();
      const logits = reader.next(open.map(([place]) => place));
      for (const [i, [place, text]] of open.entries()) {
        const piece = text.extend(logits[i] ?? new Float32Array());
        if (piece !== "") await onText(piece, place);
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

/** The most tokens of a text that are read at a time. */
const mostTokens = ({ model, maxNewTokens }: GenerateOptions, texts: readonly Text[]): number =>
  Math.min(model.config.context, maxNewTokens + Math.max(...texts.map(({ tokens }) => tokens.length)));

/** One prompt and what is added to it. */
class Text {
  readonly tokens: number[];
  end: Generated["end"] | null = null;
  text = "";
  readonly #model: GenerativeModel;
  readonly #options: GenerateOptions;
  readonly #stream: TextStream;
  readonly #promptTokens: number;

  constructor(model: GenerativeModel, prompt: string, options: GenerateOptions) {
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
