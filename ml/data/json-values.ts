import { InvalidInput } from "../../protocol/errors.ts";
import { CHUNK_BYTES } from "./chunk.ts";

/** A value of JSON is held in memory. */
const MAX_VALUE_BYTES = 64 << 20;

const code = (character: string): number => character.charCodeAt(0);
const [QUOTE, BACKSLASH, COMMA, NEWLINE, SPACE] = ['"', "\\", ",", "\n", " "].map(code) as [
  number,
  number,
  number,
  number,
  number,
];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = ["[", "]", "{", "}"].map(code) as [
  number,
  number,
  number,
  number,
];

/** Values of a file, one a line. */
export type ValueLines = {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Number of the first, from 1. */
  readonly first: number;
};

/**
 * Finds the values of a file of JSON that is read in parts: the elements of an array, or objects one after the other.
 * It finds only where each ends; whoever parses a line finds what is wrong in it.
 */
export class JsonValues {
  readonly #name: string;
  #out = new Uint8Array(2 * CHUNK_BYTES);
  #length = 0;
  /** Where the value begins that is not at its end yet. */
  #valueStart = 0;
  #values = 0;
  #flushed = 0;
  #isArray: boolean | null = null;
  #state: "before" | "in" | "after" | "ended" = "before";
  #depth = 0;
  #inText = false;
  #escaped = false;

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Takes the next bytes. Yields the values that have ended when there are enough of them.
   *
   * @throws InvalidInput for a value that is too long, or something between values
   */
  *add(bytes: Uint8Array): Generator<ValueLines> {
    for (let i = 0; i < bytes.length; ) {
      // Most bytes are those of texts, which are taken together.
      const run = this.#inText && !this.#escaped ? plainRun(bytes, i) : 0;
      if (run > 0) this.#pushAll(bytes.subarray(i, i + run));
      else this.#take(bytes[i] ?? 0);
      i += Math.max(1, run);
      if (this.#state !== "in" && this.#length >= CHUNK_BYTES) yield* this.#flush();
    }
  }

  /** Yields the rest. @throws InvalidInput when the file ends within an array or a value */
  *end(): Generator<ValueLines> {
    if (this.#state === "in" || (this.#isArray && this.#state !== "ended")) {
      throw new InvalidInput(
        `${this.#name} ends in the middle of value ${this.#values + 1}; it was cut short`,
      );
    }
    yield* this.#flush();
  }

  #take(byte: number): void {
    if (this.#state === "in") this.#takeInside(byte);
    else if (!isBlank(byte)) this.#takeBetween(byte);
  }

  #takeBetween(byte: number): void {
    if (this.#isArray === null) {
      this.#isArray = byte === OPEN_ARRAY;
      if (this.#isArray) return;
    }
    if (this.#state === "ended") throw this.#problem("has more after its array");
    if (this.#isArray && byte === CLOSE_ARRAY && this.#values === 0) this.#state = "ended";
    else if (this.#isArray && (byte === COMMA || byte === CLOSE_ARRAY))
      throw this.#problem("has a comma too many");
    else if (!this.#isArray && byte !== OPEN_OBJECT) throw this.#problem("must hold objects");
    else {
      this.#state = "in";
      this.#valueStart = this.#length;
      this.#takeInside(byte);
    }
  }

  #takeInside(byte: number): void {
    if (this.#inText) this.#takeText(byte);
    else if (this.#depth === 0 && (byte === COMMA || byte === CLOSE_ARRAY)) {
      this.#endValue();
      if (byte === CLOSE_ARRAY) this.#state = "ended";
      return;
    } else if (byte === QUOTE) this.#inText = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.#depth--;
    // A line break between the parts of a value is a space.
    this.#push(byte === NEWLINE && !this.#inText ? SPACE : byte);
    if (!this.#isArray && this.#depth === 0) this.#endValue();
  }

  #takeText(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inText = false;
  }

  #endValue(): void {
    this.#push(NEWLINE);
    this.#values++;
    this.#state = "after";
  }

  #push(byte: number): void {
    this.#makeRoom(1);
    this.#out[this.#length++] = byte;
  }

  #pushAll(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#out.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #makeRoom(bytes: number): void {
    const length = this.#length + bytes;
    if (length - this.#valueStart > MAX_VALUE_BYTES) {
      throw this.#problem(`must be at most ${MAX_VALUE_BYTES} bytes, it is longer`);
    }
    if (length <= this.#out.length) return;
    const larger = new Uint8Array(2 * length);
    larger.set(this.#out);
    this.#out = larger;
  }

  *#flush(): Generator<ValueLines> {
    if (this.#length === 0) return;
    yield { bytes: this.#out.slice(0, this.#length), first: this.#flushed + 1 };
    this.#flushed = this.#values;
    this.#length = 0;
    this.#valueStart = 0;
  }

  #problem(what: string): InvalidInput {
    return new InvalidInput(`${this.#name}: value ${this.#values + 1} ${what}`);
  }
}

const isBlank = (byte: number): boolean => byte === SPACE || byte === NEWLINE || byte === 13 || byte === 9;

/** The number of bytes from an offset on that neither end a text nor escape a character. */
function plainRun(bytes: Uint8Array, start: number): number {
  let end = start;
  while (end < bytes.length && bytes[end] !== QUOTE && bytes[end] !== BACKSLASH) end++;
  return end - start;
}
