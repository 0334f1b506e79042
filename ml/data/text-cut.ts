import type { CutRule } from "../tokenizers/cut-rule.ts";
import { isSpace, isWordCharacter } from "../tokenizers/gpt2-words.ts";

const NEWLINE = 10;
const SPACE = 32;

/** Bytes past a cut that decide about it, apart from those of added tokens: a space and a character. */
const MIN_MARGIN = 5;

/** Finds where to end a chunk of a text so that the ids of its parts are those of the whole. */
export class TextCutter {
  readonly #kind: CutRule["kind"];
  readonly #tokens: readonly Buffer[];
  /** Bytes past a cut that `find` looks at. */
  readonly margin: number;

  constructor({ kind, tokens }: CutRule) {
    this.#kind = kind;
    this.#tokens = tokens.map((token) => Buffer.from(token));
    this.margin = this.#tokens.reduce((most, { length }) => Math.max(most, length), MIN_MARGIN);
  }

  /**
   * Returns the offset of a cut of at most `limit` and more than half of it; -1 when there is none.
   *
   * @param bytes the text from its last cut on, at least `limit + margin` bytes of it
   */
  find(bytes: Uint8Array, limit: number): number {
    if (this.#kind === "nowhere") return -1;
    if (this.#kind === "characters") return this.#last(bytes, limit, isBetweenCharacters);
    if (this.#kind === "words") return this.#last(bytes, limit, isBeforeWord);
    const line = this.#last(bytes, limit, isAfterLine);
    return line !== -1 ? line : this.#last(bytes, limit, isAfterWord);
  }

  #last(bytes: Uint8Array, limit: number, isCut: (bytes: Uint8Array, offset: number) => boolean): number {
    for (let offset = limit; offset > limit / 2; offset--) {
      if (isCut(bytes, offset) && !this.#touchesToken(bytes, offset)) return offset;
    }
    return -1;
  }

  /** True when an added token is across the offset, or ends or begins there: it may take the spaces beside it. */
  #touchesToken(bytes: Uint8Array, offset: number): boolean {
    return this.#tokens.some((token) => {
      const near = bytes.subarray(Math.max(0, offset - token.length), offset + token.length);
      return Buffer.from(near.buffer, near.byteOffset, near.length).includes(token);
    });
  }
}

const isBetweenCharacters = (bytes: Uint8Array, offset: number): boolean =>
  !isContinuation(bytes[offset] ?? 0);

/** After a line break that has no white space on either side. */
const isAfterLine = (bytes: Uint8Array, offset: number): boolean =>
  bytes[offset - 1] === NEWLINE && !isSpace(codeBefore(bytes, offset - 1)) && !isSpace(codeAt(bytes, offset));

/** Between a letter or number and white space. */
const isAfterWord = (bytes: Uint8Array, offset: number): boolean =>
  isSpace(codeAt(bytes, offset)) && isWordCharacter(codeBefore(bytes, offset));

/** Before a lone space between two words. */
const isBeforeWord = (bytes: Uint8Array, offset: number): boolean =>
  bytes[offset] === SPACE &&
  isWordCharacter(codeBefore(bytes, offset)) &&
  isWordCharacter(codeAt(bytes, offset + 1));

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

function codeBefore(bytes: Uint8Array, end: number): number {
  let start = end - 1;
  while (start > 0 && start > end - 4 && isContinuation(bytes[start] ?? 0)) start--;
  return codeAt(bytes, start);
}

/** The code point that begins at an offset; U+FFFD where none does. Bytes past the end count as 0. */
function codeAt(bytes: Uint8Array, offset: number): number {
  const byte = (i: number) => bytes[offset + i] ?? 0;
  const first = byte(0);
  const tail = (i: number) => byte(i) & 0x3f;
  if (first < 0x80) return first;
  if (first < 0xc0) return 0xfffd;
  if (first < 0xe0) return ((first & 0x1f) << 6) | tail(1);
  if (first < 0xf0) return ((first & 0xf) << 12) | (tail(1) << 6) | tail(2);
  const code = ((first & 7) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3);
  return code <= 0x10ffff ? code : 0xfffd;
}
