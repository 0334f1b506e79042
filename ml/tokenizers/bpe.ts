import { CorruptData } from "../../protocol/errors.ts";
import { BYTE_CHARACTERS, BYTE_OF } from "./byte-level.ts";
import { outside } from "./char.ts";
import { forEachWord } from "./gpt2-words.ts";
import { Heap } from "./heap.ts";
import { type Ids, withEncode } from "./id-list.ts";
import { type AddedToken, type SpecialIds, withAddedTokens } from "./special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "./tokenizer.ts";

/** Words whose tokens are remembered, at most; most of a text is a few thousand words again and again. */
const CACHE_WORDS = 200_000;
const CACHE_LENGTH = 64;

export type BpeModel = {
  /** Token, in byte characters, to id. */
  readonly vocab: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  readonly added: readonly AddedToken[];
  readonly special: SpecialIds;
  /** Cut into words first, as GPT-2 does. */
  readonly words: boolean;
};

/**
 * Byte-level byte-pair encoding: GPT-2's tokenizer, the byte tokenizer, and what `train` makes.
 *
 * @throws CorruptData when a byte or a merge has no token
 */
export function bpeTokenizer(model: BpeModel, files: TokenizerFiles, what: string): Tokenizer {
  const { vocab, added, special, words } = model;
  const byteIds = byteIdsOf(vocab, what);
  const encodeWord = cached(wordEncoder(model, byteIds, what));
  const push = (word: string, ids: Ids) => {
    for (const id of encodeWord(word)) ids.push(id);
  };
  const bytes = bytesOfTokens(vocab, added);
  const specialTokens = new Set(added.filter((token) => token.special).map(({ id }) => id));
  return withEncode({
    files,
    vocabulary: 1 + [...bytes.keys()].reduce((largest, id) => Math.max(largest, id)),
    special,
    encodeTo: withAddedTokens(added, (text, ids) => {
      if (words) forEachWord(text, (word) => push(word, ids));
      else if (model.merges.length > 0) push(text, ids);
      else for (const byte of Buffer.from(text)) ids.push(byteIds[byte] ?? 0);
    }),
    decode(ids, { skipSpecial = false } = {}) {
      const kept = skipSpecial ? ids.filter((id) => !specialTokens.has(id)) : ids;
      const parts = kept.map((id) => bytes.get(id) ?? outside(id, bytes.size));
      return Buffer.concat(parts).toString("utf8");
    },
  });
}

function bytesOfTokens(vocab: BpeModel["vocab"], added: readonly AddedToken[]): Map<number, Uint8Array> {
  const bytes = new Map<number, Uint8Array>();
  for (const [token, id] of vocab) {
    bytes.set(
      id,
      Uint8Array.from(token, (character) => BYTE_OF.get(character) ?? 63),
    );
  }
  for (const { content, id } of added) bytes.set(id, Buffer.from(content));
  return bytes;
}

function cached(encode: (word: string) => readonly number[]): (word: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (word) => {
    const found = known.get(word);
    if (found) return found;
    const ids = encode(word);
    if (word.length <= CACHE_LENGTH) {
      if (known.size >= CACHE_WORDS) known.clear();
      // A copy: the word is a view of its text, all of which would stay in memory with it.
      known.set(Buffer.from(word).toString(), ids);
    }
    return ids;
  };
}

function byteIdsOf(vocab: BpeModel["vocab"], what: string): Int32Array {
  return Int32Array.from(BYTE_CHARACTERS, (character) => vocab.get(character) ?? noToken(character, what));
}

/** Ids are below 2^20 by far; two of them and a place fit exactly into a number each. */
const PAIR = 2 ** 26;
const PLACES = 2 ** 26;

/** Merges by rank, leftmost first among equals, in n log n steps, so that a word may be very long. */
function wordEncoder(
  { vocab, merges }: BpeModel,
  byteIds: Int32Array,
  what: string,
): (word: string) => number[] {
  const ranks = new Map<number, number>();
  const results = merges.map(([left, right], rank) => {
    const [a, b, joined] = [left, right, left + right].map(
      (token) => vocab.get(token) ?? noToken(token, what),
    );
    ranks.set((a ?? 0) * PAIR + (b ?? 0), rank);
    return joined ?? 0;
  });
  return (word) => {
    const bytes = Buffer.from(word);
    const symbols = Array.from(bytes, (byte) => byteIds[byte] ?? 0);
    return symbols.length < 2 ? symbols : merge(symbols, ranks, results);
  };
}

function noToken(token: string, what: string): never {
  throw new CorruptData(`${what} has no token ${JSON.stringify(token)}, which its bytes and merges need`);
}

/** Source of the order: `Word::merge_all` of Hugging Face tokenizers, whose results these are. */
function merge(symbols: number[], ranks: ReadonlyMap<number, number>, results: readonly number[]): number[] {
  const next = symbols.map((_, i) => i + 1);
  const previous = symbols.map((_, i) => i - 1);
  const heap = new Heap<number>((a, b) => a < b);
  const rankAt = (place: number): number | undefined => {
    const right = next[place] ?? symbols.length;
    return right >= symbols.length
      ? undefined
      : ranks.get((symbols[place] ?? 0) * PAIR + (symbols[right] ?? 0));
  };
  const offer = (place: number) => {
    const rank = place < 0 ? undefined : rankAt(place);
    if (rank !== undefined) heap.push(rank * PLACES + place);
  };
  for (let place = 0; place < symbols.length - 1; place++) offer(place);
  for (let top = heap.pop(); top !== undefined; top = heap.pop()) {
    const place = top % PLACES;
    const result = results[(top - place) / PLACES];
    if ((symbols[place] ?? GONE) === GONE) continue;
    // The entry is out of date unless what stands there now becomes the same token.
    const rank = rankAt(place);
    if (result === undefined || rank === undefined || results[rank] !== result) continue;
    const removed = next[place] ?? 0;
    symbols[place] = result;
    symbols[removed] = GONE;
    const after = next[removed] ?? symbols.length;
    next[place] = after;
    if (after < symbols.length) previous[after] = place;
    offer(previous[place] ?? -1);
    offer(place);
  }
  return symbols.filter((symbol) => symbol !== GONE);
}

const GONE = -1;
