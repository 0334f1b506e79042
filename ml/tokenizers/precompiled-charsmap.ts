import { CorruptData } from "../../protocol/errors.ts";

/**
 * SentencePiece's `Precompiled` normalizer: replacements of characters, looked up in a double-array trie (J. Aoe 1989,
 * as laid out by darts-clone) whose values are offsets in a block of zero-ended UTF-8 texts.
 */
export type Charsmap = (text: string) => string;

/** Graphemes of fewer bytes are looked up whole. */
const MAX_GRAPHEME_BYTES = 6;

/**
 * Reads a table of replacements.
 *
 * @param encoded `precompiled_charsmap` of a `tokenizer.json`: base64 of the trie's length in bytes, the trie, the texts
 * @param what names the file in errors
 * @throws CorruptData when it is none
 */
export function charsmapOf(encoded: unknown, what: string): Charsmap {
  if (encoded === null || encoded === undefined || encoded === "") return (text) => text;
  const bytes = Buffer.from(typeof encoded === "string" ? encoded : "", "base64");
  const length = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (length === 0 || length % 4 !== 0 || 4 + length > bytes.length) {
    throw new CorruptData(`${what}: normalizer.precompiled_charsmap is damaged`);
  }
  const trie = Uint32Array.from({ length: length / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const texts = bytes.subarray(4 + length);
  const lookUp = (key: string): string | null => {
    const at = firstMatch(trie, Buffer.from(key));
    return at === -1 ? null : texts.toString("utf8", at, Math.max(at, texts.indexOf(0, at)));
  };
  return (text) => normalized(text, lookUp);
}

const graphemes = new Intl.Segmenter("und", { granularity: "grapheme" });

/** Looks up a short grapheme whole, a longer or unknown one by its characters, as Hugging Face tokenizers do. */
function normalized(text: string, lookUp: (key: string) => string | null): string {
  const out: string[] = [];
  for (const { segment } of graphemes.segment(text)) {
    const whole = Buffer.byteLength(segment) < MAX_GRAPHEME_BYTES ? lookUp(segment) : null;
    if (whole !== null) out.push(whole);
    else for (const character of segment) out.push(lookUp(character) ?? character);
  }
  return out.join("");
}

/** Returns the value of the shortest prefix of `key` that the trie has; -1: it has none. */
function firstMatch(trie: Uint32Array, key: Uint8Array): number {
  const unitAt = (position: number): number => trie[position] ?? 0;
  let position = offsetOf(unitAt(0));
  for (const byte of key) {
    if (byte === 0) return -1;
    position ^= byte;
    const unit = unitAt(position);
    if ((unit & LABEL) >>> 0 !== byte) return -1;
    position ^= offsetOf(unit);
    if (unit & HAS_LEAF) return unitAt(position) & VALUE;
  }
  return -1;
}

const HAS_LEAF = 1 << 8;
const VALUE = 0x7fffffff;
const LABEL = 0x800000ff;
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
