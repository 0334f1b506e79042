import { setImmediate } from "node:timers/promises";
import TinyQueue from "tinyqueue";
import { at, required } from "../../protocol/required.ts";
import { type Bpe, BYTE_CHARACTERS } from "./byte-level.ts";

/** The number of times that each word of `forEachWord` occurs. */
export type WordCounts = ReadonlyMap<string, number>;

export type TrainOptions = {
  /** Tokens to reach: special ones, 256 bytes, and merges. Fewer when the text has no more pairs. */
  readonly vocabulary: number;
  /** Their ids come first. */
  readonly special: readonly string[];
  readonly onProgress?: (tokens: number) => void;
  readonly signal?: AbortSignal;
};

/** Merges between two checks of the signal. */
const ROUND = 64;

/**
 * Learns byte-pair merges: again and again the most frequent pair of neighbouring tokens becomes a token. Same
 * vocabulary and merges as `BpeTrainer` of Hugging Face tokenizers with the byte alphabet and these special tokens:
 * among pairs of equal count, the one with the smaller left id, then the smaller right id, comes first.
 *
 * @throws the signal's reason when it is aborted
 */
export async function trainBpe(words: WordCounts, options: TrainOptions): Promise<Bpe> {
  const { vocabulary, special, onProgress, signal } = options;
  const trainer = new Trainer(words, special);
  for (let more = true; more; ) {
    await setImmediate();
    signal?.throwIfAborted();
    for (let i = 0; more && i < ROUND; i++) more = trainer.size < vocabulary && trainer.mergeNext();
    onProgress?.(trainer.size);
  }
  return { tokens: trainer.tokens, merges: trainer.merges(), special, words: true };
}

/** A pair that may be merged next: its count when it was queued, and the words it was seen in. */
type Candidate = { readonly pair: number; readonly count: number; readonly words: readonly number[] };

/** Ids are below it, so that a pair fits exactly into a number and pairs compare as (left, right). */
const PAIR = 2 ** 24;
const pairOf = (left: number, right: number): number => left * PAIR + right;
const leftOf = (pair: number): number => Math.floor(pair / PAIR);

/** The `?? 0` in its inner loops stand for indices that are always inside the arrays. */
class Trainer {
  readonly tokens: string[];
  readonly #ids: Map<string, number>;
  /** The tokens of all words, one word after the other; a word shrinks in place. */
  readonly #symbols: Int32Array;
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #occurrences: Float64Array;
  readonly #counts = new Map<number, number>();
  /** The most frequent pair first. */
  readonly #queue = new TinyQueue<Candidate>([], (a, b) => b.count - a.count || a.pair - b.pair);
  /** A pair's rank is when it was last merged: one may come again, through a token that two pairs make. */
  readonly #ranks = new Map<number, number>();
  #merged = 0;
  /** Pairs that the current merge makes, with the words they are in. */
  #fresh = new Map<number, number[]>();

  constructor(words: WordCounts, special: readonly string[]) {
    this.tokens = [...special, ...[...BYTE_CHARACTERS].sort()];
    this.#ids = new Map(this.tokens.map((token, id) => [token, id]));
    this.#occurrences = Float64Array.from(words.values());
    this.#lengths = Int32Array.from(words.keys(), (word) => Buffer.byteLength(word));
    this.#starts = new Int32Array(words.size);
    this.#symbols = new Int32Array(this.#lengths.reduce((sum, length) => sum + length, 0));
    this.#fill(words.keys());
    for (let word = 0; word < words.size; word++) this.#countPairs(word);
    this.#enqueueFresh();
  }

  get size(): number {
    return this.tokens.length;
  }

  /** In the order of their ranks. */
  merges(): [string, string][] {
    return [...this.#ranks]
      .sort(([, a], [, b]) => a - b)
      .map(([pair]) => [this.#token(leftOf(pair)), this.#token(pair % PAIR)]);
  }

  /** @returns false when no pair is left */
  mergeNext(): boolean {
    for (let top = this.#queue.pop(); top; top = this.#queue.pop()) {
      const count = this.#counts.get(top.pair) ?? 0;
      if (count === top.count) {
        this.#merge(top);
        return true;
      }
      // Other merges have taken some of it away, or added to it.
      if (count > 0) this.#queue.push({ ...top, count });
    }
    return false;
  }

  #token(id: number): string {
    return at(this.tokens, id, "a token");
  }

  #fill(words: Iterable<string>): void {
    const byteIds = BYTE_CHARACTERS.map((byte) => required(this.#ids.get(byte), `the id of byte ${byte}`));
    let [word, end] = [0, 0];
    for (const text of words) {
      this.#starts[word++] = end;
      for (const byte of Buffer.from(text)) this.#symbols[end++] = byteIds[byte] ?? 0;
    }
  }

  #countPairs(word: number): void {
    const start = this.#starts[word] ?? 0;
    const last = start + (this.#lengths[word] ?? 0) - 1;
    const occurrences = this.#occurrences[word] ?? 0;
    for (let i = start; i < last; i++) {
      this.#add(pairOf(this.#symbols[i] ?? 0, this.#symbols[i + 1] ?? 0), occurrences, word);
    }
  }

  #add(pair: number, occurrences: number, word: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + occurrences);
    const words = this.#fresh.get(pair);
    if (!words) this.#fresh.set(pair, [word]);
    else if (words.at(-1) !== word) words.push(word);
  }

  #enqueueFresh(): void {
    for (const [pair, words] of this.#fresh) {
      const count = this.#counts.get(pair) ?? 0;
      if (count > 0) this.#queue.push({ pair, count, words });
    }
    this.#fresh = new Map();
  }

  #merge({ pair, words }: Candidate): void {
    const [left, right] = [leftOf(pair), pair % PAIR];
    const token = this.#token(left) + this.#token(right);
    let id = this.#ids.get(token);
    if (id === undefined) {
      id = this.tokens.push(token) - 1;
      this.#ids.set(token, id);
    }
    this.#ranks.set(pair, this.#merged++);
    for (const word of words) this.#mergeWord(word, left, right, id);
    this.#enqueueFresh();
  }

  /** Puts `id` where `left right` stands, from left to right, and counts the pairs that go and come with it. */
  #mergeWord(word: number, left: number, right: number, id: number): void {
    const symbols = this.#symbols;
    const occurrences = this.#occurrences[word] ?? 0;
    const start = this.#starts[word] ?? 0;
    const end = start + (this.#lengths[word] ?? 0);
    let write = start;
    for (let read = start; read < end; read++) {
      const symbol = symbols[read] ?? 0;
      if (symbol !== left || read + 1 >= end || symbols[read + 1] !== right) {
        symbols[write++] = symbol;
        continue;
      }
      if (write > start) {
        const before = symbols[write - 1] ?? 0;
        this.#take(pairOf(before, left), occurrences);
        this.#add(pairOf(before, id), occurrences, word);
      }
      if (read + 2 < end) {
        const after = symbols[read + 2] ?? 0;
        this.#take(pairOf(right, after), occurrences);
        this.#add(pairOf(id, after), occurrences, word);
      }
      symbols[write++] = id;
      read++;
    }
    this.#lengths[word] = write - start;
  }

  #take(pair: number, occurrences: number): void {
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) - occurrences);
  }
}
