/**
 * Turns tokens into fragments of text as they come. Holds back what the next token may still change: half a character
 * (a token may end within one), and the beginning of a stop string.
 */
export class TextStream {
  readonly #decode: (tokens: readonly number[]) => string;
  readonly #stops: readonly string[];
  /** Tokens that are decoded together: the text of one may depend on the one before, as with a leading space. */
  #window: number[];
  /** The number of tokens of the window whose text was returned or held back. */
  #done: number;
  #held = "";
  #stopped = false;

  /** @param before the tokens before the text */
  constructor(
    decode: (tokens: readonly number[]) => string,
    stops: readonly string[] = [],
    before: readonly number[] = [],
  ) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== "");
    this.#window = before.slice(-TOKENS_BEFORE);
    this.#done = this.#window.length;
  }

  /** True after a stop string, before which the text has ended. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Returns the text that is final with this token. */
  push(token: number): string {
    this.#window.push(token);
    return this.#release(this.#decodeNew(false));
  }

  /** Returns the text that was held back, when no token follows. */
  end(): string {
    if (this.#stopped) return "";
    const rest = this.#release(this.#decodeNew(true)) + this.#held;
    this.#held = "";
    return rest;
  }

  #decodeNew(last: boolean): string {
    const before = this.#decode(this.#window.slice(0, this.#done));
    const text = this.#decode(this.#window);
    const unfinished = text.endsWith("\uFFFD") && this.#window.length - this.#done < TOKENS_OF_A_CHARACTER;
    if (unfinished && !last) return "";
    this.#window = this.#window.slice(this.#done);
    this.#done = this.#window.length;
    return text.slice(before.length);
  }

  #release(text: string): string {
    const all = this.#held + text;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((index) => index !== -1);
    if (found.length > 0) {
      this.#stopped = true;
      this.#held = "";
      return all.slice(0, Math.min(...found));
    }
    const released = all.length - Math.max(0, ...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(released);
    return all.slice(0, released);
  }
}

const TOKENS_BEFORE = 5;
/** A character has at most 4 bytes of UTF-8, and so 4 tokens; with more of them it is damaged and stays so. */
const TOKENS_OF_A_CHARACTER = 4;

/** The length of the longest end of `text` that `stop` begins with, less than all of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
