import { at, required } from "../../protocol/required.ts";
import type { DecoderShape } from "../models/decoder-shape.ts";
import {
  createSharedDecoder,
  MAX_VECTORS,
  type SharedDecoder,
  type Texts,
  TOKEN_ROWS,
} from "./shared-decoder.ts";
import type { SharedWeights } from "./shared-weights.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** A token to read. */
export type NewToken = {
  readonly token: number;
  readonly text: number;
  /** In its text. */
  readonly position: number;
  /** True when the logits of what follows it are wanted. */
  readonly wanted: boolean;
};

/**
 * Reads tokens of some texts and predicts what follows them. It keeps the keys and values of the tokens it has read, and
 * goes through the matrices once for all tokens of a step, whichever texts they belong to.
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
   * Returns the logits of what follows the wanted tokens, in their order.
   *
   * @param added tokens of any texts; those of one text in order, after those it had before
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
    const word = (row: keyof typeof TOKEN_ROWS, i: number) =>
      (tokens.offset + TOKEN_ROWS[row] * tokens.stride) / 4 + i;
    let wanted = 0;
    for (const [i, { token, text, position, ...rest }] of added.entries()) {
      this.#integers[word("id", i)] = token;
      this.#integers[word("text", i)] = text;
      this.#integers[word("position", i)] = position;
      if (rest.wanted) this.#integers[word("wanted", wanted++)] = i;
      this.#embed(token, position, (x.offset + i * x.stride) / 4);
      this.#writeRotation(position, (rotation.offset + i * rotation.stride) / 4);
    }
    this.#pool.run(this.#id, added.length, wanted);
    return Array.from({ length: wanted }, (_, i) => {
      const start = (logits.offset + i * logits.stride) / 4;
      return this.#floats.slice(start, start + this.#shared.shape.vocabulary);
    });
  }

  /** Writes the cosines and sines of a position; angles are in single precision, as in other implementations. */
  #writeRotation(position: number, to: number): void {
    const { frequencies } = this.#shared.shape;
    for (const [i, frequency] of frequencies.entries()) {
      const angle = Math.fround(position * frequency);
      this.#floats[to + i] = Math.cos(angle);
      this.#floats[to + frequencies.length + i] = Math.sin(angle);
    }
  }
}

/** Returns what puts the embedding of a token to a float index. */
function embedderOf(shared: SharedDecoder, floats: Float32Array) {
  const table = (name: string) => {
    const { memory, offset } = required(shared.weights.tensors[name], `parameter ${name}`);
    return new Float32Array(at(shared.weights.memories, memory, `memory of ${name}`).buffer, offset);
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
