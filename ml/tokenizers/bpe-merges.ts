import TinyQueue from "tinyqueue";
import { CorruptData } from "../../protocol/errors.ts";
import { BYTE_CHARACTERS } from "./byte-level.ts";

/** Token, in byte characters, to id. */
export type Vocabulary = ReadonlyMap<string, number>;
/** Pairs of tokens that become one, by rank. */
export type Merges = readonly (readonly [string, string])[];

/** Ids are below 2^22; two of them, and a rank and an offset, fit exactly into a number. */
const PAIR = 2 ** 26;
const OFFSETS = 2 ** 26;

/** The id of each byte. @throws CorruptData when a byte has no token */
export const byteIdsOf = (vocab: Vocabulary, what: string): Int32Array =>
  Int32Array.from(BYTE_CHARACTERS, (character) => idOf(vocab, character, what));

/**
 * Returns a function that encodes a word: merges by rank, leftmost first among equals, in n log n steps, so that a word
 * may be very long.
 *
 * @throws CorruptData when a merge has no token
 */
export function wordEncoder(
  { vocab, merges }: { readonly vocab: Vocabulary; readonly merges: Merges },
  byteIds: Int32Array,
  what: string,
): (word: string) => number[] {
  const ranks = new Map<number, number>();
  const results = merges.map(([left, right], rank) => {
    ranks.set(idOf(vocab, left, what) * PAIR + idOf(vocab, right, what), rank);
    return idOf(vocab, left + right, what);
  });
  return (word) => {
    const symbols = Array.from(Buffer.from(word), (byte) => byteIds[byte] ?? 0);
    return symbols.length < 2 ? symbols : merge(symbols, ranks, results);
  };
}

function idOf(vocab: Vocabulary, token: string, what: string): number {
  const id = vocab.get(token);
  if (id !== undefined) return id;
  throw new CorruptData(`${what} has no token ${JSON.stringify(token)}, which its bytes and merges need`);
}

/** Marks a symbol that was merged into the one before it. */
const GONE = -1;
const ascending = (a: number, b: number): number => a - b;

/**
 * Merges the symbols of a word. The `?? 0` here stand for indices that are always inside the arrays: this is an inner
 * loop. Source of the order: `Word::merge_all` of Hugging Face tokenizers, whose results these are.
 */
function merge(symbols: number[], ranks: ReadonlyMap<number, number>, results: readonly number[]): number[] {
  const next = symbols.map((_, i) => i + 1);
  const previous = symbols.map((_, i) => i - 1);
  const rankAt = (offset: number): number | undefined => {
    const right = next[offset] ?? symbols.length;
    return right >= symbols.length
      ? undefined
      : ranks.get((symbols[offset] ?? 0) * PAIR + (symbols[right] ?? 0));
  };
  const candidates: number[] = [];
  for (let offset = 0; offset < symbols.length - 1; offset++) {
    const rank = rankAt(offset);
    if (rank !== undefined) candidates.push(rank * OFFSETS + offset);
  }
  const queue = new TinyQueue(candidates, ascending);
  const offer = (offset: number) => {
    const rank = offset < 0 ? undefined : rankAt(offset);
    if (rank !== undefined) queue.push(rank * OFFSETS + offset);
  };
  for (let first = queue.pop(); first !== undefined; first = queue.pop()) {
    const offset = first % OFFSETS;
    const result = results[(first - offset) / OFFSETS];
    if ((symbols[offset] ?? GONE) === GONE) continue;
    // The entry is out of date unless the pair that is there now becomes the same token.
    const rank = rankAt(offset);
    if (result === undefined || rank === undefined || results[rank] !== result) continue;
    const removed = next[offset] ?? 0;
    symbols[offset] = result;
    symbols[removed] = GONE;
    const after = next[removed] ?? symbols.length;
    next[offset] = after;
    if (after < symbols.length) previous[after] = offset;
    offer(previous[offset] ?? -1);
    offer(offset);
  }
  return symbols.filter((symbol) => symbol !== GONE);
}
