import type { Tensor } from "@tensorflow/tfjs";
import { canRecord } from "../backend/program.ts";
import type { Kit } from "../models/ops.ts";
import { advance, type Cache, disposeCache, joinCaches, prefill, selectSequences } from "./cache.ts";
import type { Decoder } from "./decoder.ts";
import { type Programs, RecordedSteps } from "./recorded-steps.ts";

/** The tokens of a text, which grow. */
export type Tokens = readonly number[];

/** Reads texts that grow by a token at a time, keeping keys and values of those that the context still holds whole. */
export class Reader {
  readonly #kit: Kit;
  readonly #decoder: Decoder;
  readonly #context: number;
  readonly #programs: Programs;
  #steps: Steps | null = null;

  /** @param programs what was recorded for this decoder before; it may grow */
  constructor(kit: Kit, decoder: Decoder, context: number, programs: Programs) {
    this.#kit = kit;
    this.#programs = programs;
    this.#decoder = decoder;
    this.#context = context;
  }

  /**
   * The logits of what follows each text.
   *
   * @param texts the same arrays each time, in the same order, a token longer; but for those that have ended
   */
  next(texts: readonly Tokens[]): Float32Array[] {
    const whole = texts.filter((text) => text.length <= this.#context);
    const read = new Map(this.#read(whole).map((logits, i) => [whole[i], logits]));
    return texts.map((text) => read.get(text) ?? this.#window(text.slice(-this.#context)));
  }

  close(): void {
    this.#steps?.close();
    this.#steps = null;
  }

  #read(texts: readonly Tokens[]): Float32Array[] {
    if (this.#steps && texts.length > 0) return this.#steps.next(texts);
    this.close();
    return texts.length > 0 ? this.#start(texts) : [];
  }

  #start(texts: readonly Tokens[]): Float32Array[] {
    const read = texts.map((tokens) => {
      const { logits, cache } = prefill(this.#kit, this.#decoder, tokens);
      return { logits: take(logits), cache };
    });
    const caches = read.map(({ cache }) => cache);
    const [only] = caches;
    const joined = only && caches.length === 1 ? only : joinCaches(this.#kit, caches);
    for (const cache of caches) if (cache !== joined) disposeCache(this.#kit, cache);
    this.#steps = canRecord(this.#kit.tf)
      ? new RecordedTexts(this.#recordedSteps(joined), texts, this.#context)
      : new PlainTexts(this.#kit, this.#decoder, joined, texts);
    return read.map(({ logits }) => logits);
  }

  #recordedSteps(cache: Cache): RecordedSteps {
    const steps = new RecordedSteps(this.#kit, this.#decoder, cache, this.#programs);
    disposeCache(this.#kit, cache);
    return steps;
  }

  /** Reads a full context anew: every token has moved. */
  #window(tokens: Tokens): Float32Array {
    const { logits, cache } = prefill(this.#kit, this.#decoder, tokens);
    disposeCache(this.#kit, cache);
    return take(logits);
  }
}

type Steps = { next(texts: readonly Tokens[]): Float32Array[]; close(): void };

const lastOf = (tokens: Tokens): number => tokens.at(-1) ?? 0;

/** Steps of shapes that change: sequences that have ended leave the cache. */
class PlainTexts implements Steps {
  readonly #kit: Kit;
  readonly #decoder: Decoder;
  #cache: Cache;
  #rows: readonly Tokens[];

  constructor(kit: Kit, decoder: Decoder, cache: Cache, texts: readonly Tokens[]) {
    this.#kit = kit;
    this.#decoder = decoder;
    this.#cache = cache;
    this.#rows = texts;
  }

  next(texts: readonly Tokens[]): Float32Array[] {
    if (texts.length < this.#rows.length) {
      const kept = texts.map((text) => this.#rows.indexOf(text));
      this.#replace(selectSequences(this.#kit, this.#cache, kept));
      this.#rows = texts;
    }
    const lengths = texts.map((text) => text.length - 1);
    const { logits, cache } = advance(this.#kit, this.#decoder, this.#cache, texts.map(lastOf), lengths);
    this.#replace(cache);
    return rowsOf(take(logits), texts.length);
  }

  close(): void {
    disposeCache(this.#kit, this.#cache);
  }

  #replace(cache: Cache): void {
    disposeCache(this.#kit, this.#cache);
    this.#cache = cache;
  }
}

/** Steps of one shape: sequences that have ended go on, and are not looked at. */
class RecordedTexts implements Steps {
  readonly #steps: RecordedSteps;
  readonly #rows: readonly Tokens[];
  readonly #context: number;

  constructor(steps: RecordedSteps, texts: readonly Tokens[], context: number) {
    this.#steps = steps;
    this.#rows = texts;
    this.#context = context;
  }

  next(texts: readonly Tokens[]): Float32Array[] {
    const lengths = this.#rows.map((row) => Math.min(row.length, this.#context) - 1);
    const all = rowsOf(take(this.#steps.step(this.#rows.map(lastOf), lengths)), this.#rows.length);
    return texts.map((text) => all[this.#rows.indexOf(text)] ?? new Float32Array());
  }

  close(): void {
    this.#steps.dispose();
  }
}

function rowsOf(all: Float32Array, rows: number): Float32Array[] {
  const size = all.length / rows;
  return Array.from({ length: rows }, (_, row) => all.slice(row * size, (row + 1) * size));
}

/** A tensor's values; disposes it. */
function take(tensor: Tensor): Float32Array {
  const values = tensor.dataSync<"float32">();
  tensor.dispose();
  return values;
}
