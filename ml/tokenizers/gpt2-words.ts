/**
 * GPT-2's pre-tokenizer, which cuts a text into the words that merges never cross. Same words as the expression
 * `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` of OpenAI's encoder.py and of
 * `ByteLevel` in Hugging Face tokenizers, without a regular expression's cost. `\s` is Unicode's White_Space.
 */
const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;
const OTHER = 4;

/** The class of each code point, 0 until it was asked for. */
const classes = new Uint8Array(0x110000);

function classOf(code: number): number {
  return classes[code] || classify(code);
}

function classify(code: number): number {
  const character = String.fromCodePoint(code);
  let kind = OTHER;
  if (/\p{L}/u.test(character)) kind = LETTER;
  else if (/\p{N}/u.test(character)) kind = NUMBER;
  else if (/\p{White_Space}/u.test(character)) kind = SPACE;
  classes[code] = kind;
  return kind;
}

export const isSpace = (code: number): boolean => classOf(code) === SPACE;

/** A letter or a number. */
export const isWordCharacter = (code: number): boolean => {
  const kind = classOf(code);
  return kind === LETTER || kind === NUMBER;
};

/** Calls `visit` with each word in order. */
export function forEachWord(text: string, visit: (word: string) => void): void {
  for (let start = 0; start < text.length; ) {
    const end = endOfWord(text, start);
    visit(text.slice(start, end));
    start = end;
  }
}

function endOfWord(text: string, start: number): number {
  const first = text.charCodeAt(start);
  if (first === QUOTE) {
    const contraction = contractionAt(text, start + 1);
    if (contraction > 0) return start + 1 + contraction;
  }
  // One space belongs to the word it stands before.
  const content = first === BLANK && start + 1 < text.length ? start + 1 : start;
  const kind = classAt(text, content);
  if (kind !== SPACE) return endOfRun(text, content, kind);
  const end = endOfRun(text, start, SPACE);
  // The last of several spaces is left to what follows.
  return end === text.length || end - start === 1 ? end : end - 1;
}

const QUOTE = 39;
const BLANK = 32;

/** Length of s, t, m, d, re, ve or ll at `at`. */
function contractionAt(text: string, at: number): number {
  const letter = text[at];
  if (letter === "s" || letter === "t" || letter === "m" || letter === "d") return 1;
  const two = text.slice(at, at + 2);
  return two === "re" || two === "ve" || two === "ll" ? 2 : 0;
}

const classAt = (text: string, at: number): number => classOf(text.codePointAt(at) ?? 0);

function endOfRun(text: string, start: number, kind: number): number {
  let end = start;
  while (end < text.length) {
    const unit = text.charCodeAt(end);
    const code = unit < 0xd800 || unit > 0xdfff ? unit : (text.codePointAt(end) ?? 0);
    if (classOf(code) !== kind) break;
    end += code > 0xffff ? 2 : 1;
  }
  return end;
}
