import { isSpace, isWordCharacter } from "../tokenizers/gpt2-words.ts";

const NEWLINE = 10;

/**
 * Returns where to end a chunk of a text of more than `limit` bytes, so that its parts give the tokens of the whole with
 * every tokenizer that cuts texts into words first (GPT-2's, Llama 3's, BERT's): after the last lone line break that is
 * right, else between a word and white space, else, in half of `limit` without any, between two characters.
 */
export function cutOf(bytes: Uint8Array, limit: number): number {
  for (let i = limit; i > limit / 2; i--) {
    if (bytes[i - 1] === NEWLINE && !isSpace(codeBefore(bytes, i - 1)) && !isSpace(codeAt(bytes, i)))
      return i;
  }
  for (let i = limit; i > limit / 2; i--) {
    if (isSpace(codeAt(bytes, i)) && isWordCharacter(codeBefore(bytes, i))) return i;
  }
  let i = limit;
  while (i > limit - 4 && isContinuation(bytes[i] ?? 0)) i--;
  return i;
}

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
