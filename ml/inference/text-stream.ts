/**
 * Turns tokens into text as they come. Holds back what the next token may still change: half a character (a token
 * may end within one), and what may become a stop string.
 */
export class TextStream {
  readonly #decode: (tokens: readonly number[]) => string;
  readonly #stops: readonly string[];
  /** What is decoded together: a token's text may depend on the one before, as with a leading space. */
  #window: number[];
  /** How many tokens of the window have been turned into text. */
  #done: number;
  #held = "";
  #stopped = false;

  /** @param before the tokens that the text goes on from; their text is not part of it */
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

  /** True when a stop string was met: the text has ended before it. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that is certain with this token. */
  push(token: number): string {
    this.#window.push(token);
    return this.#release(this.#decodeNew(false));
  }

  /** The text that was held back, when no token follows. */
  end(): string {
    if (this.#stopped) return "";
    const rest = this.#release(this.#decodeNew(true)) + this.#held;
    this.#held = "";
    return rest;
  }

  #decodeNew(last: boolean): string {
    const known = this.#decode(this.#window.slice(0, this.#done));
    const text = this.#decode(this.#window);
    const unfinished = text.endsWith("\uFFFD") && this.#window.length - this.#done < TOKENS_OF_A_CHARACTER;
    if (unfinished && !last) return "";
    this.#window = this.#window.slice(this.#done);
    this.#done = this.#window.length;
    return text.slice(known.length);
  }

  #release(text: string): string {
    const all = this.#held + text;
    const places = this.#stops.map((stop) => all.indexOf(stop)).filter((place) => place !== -1);
    if (places.length > 0) {
      this.#stopped = true;
      this.#held = "";
      return all.slice(0, Math.min(...places));
    }
    const kept = Math.max(0, ...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - kept);
    return all.slice(0, all.length - kept);
  }
}

const TOKENS_BEFORE = 5;
/** A character is at most 4 bytes of UTF-8, and so 4 tokens; more of them are damaged text that never gets whole. */
const TOKENS_OF_A_CHARACTER = 4;

/** Length of the longest end of `text` that `stop` begins with, short of all of it. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
