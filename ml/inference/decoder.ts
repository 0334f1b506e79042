import type { DecoderShape } from "../models/decoder-shape.ts";
import { createSharedDecoder, MAX_VECTORS, type SharedDecoder, type Texts } from "./shared-decoder.ts";
import type { SharedWeights } from "./shared-weights.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** A token that a text gets, at a offset of it. */
export type NewToken = {
  readonly token: number;
  readonly text: number;
  readonly position: number;
  /** Whether the logits of what follows it are. */
  readonly wanted: boolean;
};

/**
 * Reads tokens of some texts and says what follows them, keeping the keys and values of those that it has read. The
 * matrices are read once for all tokens of a step, whichever texts they are of.
 */
export class Decoder {
  readonly #pool: ThreadPool;
  readonly #shared: SharedDecoder;
  readonly #id: number;
  readonly #embed: (token: number, position: number, to: number) => void;
  readonly #floats: Float32Array;
  readonly #integers: Int32Array;

  constructor(
    { shape, weights, module }: { shape: DecoderShape; weights: SharedWeights; module: WebAssembly.Module },
    pool: ThreadPool,
    texts: Texts,
  ) {
    const shared = createSharedDecoder(shape, weights, texts, { module, threads: pool.size });
    this.#pool = pool;
    this.#shared = shared;
    this.#floats = new Float32Array(shared.state.buffer);
    this.#integers = new Int32Array(shared.state.buffer);
    this.#embed = embedderOf(shared, this.#floats);
    this.#id = pool.add(shared);
  }

  /**
   * The logits of what follows the wanted tokens, in their order.
   *
   * @param added a text's tokens in order, each after those it had before
   */
  read(added: readonly NewToken[]): Float32Array[] {
    const logits: Float32Array[] = [];
    for (let first = 0; first < added.length; first += MAX_VECTORS) {
      logits.push(...this.#step(added.slice(first, first + MAX_VECTORS)));
    }
    return logits;
  }

  close(): void {
    this.#pool.remove(this.#id);
  }

  #step(added: readonly NewToken[]): Float32Array[] {
    const { tokens, x, rotation, logits } = this.#shared.buffers;
    const word = (row: number, i: number) => (tokens.offset + row * tokens.stride) / 4 + i;
    let wanted = 0;
    for (const [i, { token, text, position, ...rest }] of added.entries()) {
      this.#integers[word(0, i)] = token;
      this.#integers[word(1, i)] = text;
      this.#integers[word(2, i)] = position;
      if (rest.wanted) this.#integers[word(3, wanted++)] = i;
      this.#embed(token, position, (x.offset + i * x.stride) / 4);
      this.#turnTo(position, (rotation.offset + i * rotation.stride) / 4);
    }
    this.#pool.run(this.#id, added.length, wanted);
    return Array.from({ length: wanted }, (_, i) => {
      const at = (logits.offset + i * logits.stride) / 4;
      return this.#floats.slice(at, at + this.#shared.shape.vocabulary);
    });
  }

  /** Cosines and sines of a position, in single precision as everyone has it. */
  #turnTo(position: number, at: number): void {
    const { frequencies } = this.#shared.shape;
    for (const [i, frequency] of frequencies.entries()) {
      const angle = Math.fround(position * frequency);
      this.#floats[at + i] = Math.cos(angle);
      this.#floats[at + frequencies.length + i] = Math.sin(angle);
    }
  }
}

/** Puts a token's first vector to a float index. */
function embedderOf(shared: SharedDecoder, floats: Float32Array) {
  const table = (name: string) => {
    const tensor = shared.weights.tensors[name];
    const memory = shared.weights.memories[tensor?.memory ?? 0];
    if (!tensor || !memory) throw new Error(`there is no parameter ${name}`);
    return new Float32Array(memory.buffer, tensor.offset);
  };
  const { width } = shared.shape;
  const tokens = table(shared.shape.tokens);
  const positions = shared.shape.positions === null ? null : table(shared.shape.positions);
  return (token: number, position: number, to: number) => {
    for (let i = 0; i < width; i++) {
      floats[to + i] = (tokens[token * width + i] ?? 0) + (positions?.[position * width + i] ?? 0);
    }
  };
}
