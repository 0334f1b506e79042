import type { Crew } from "./crew.ts";
import { type DecoderPlan, MOST_VECTORS, planDecoder, type SharedWeights, type Texts } from "./plan.ts";
import type { DecoderShape } from "./shape.ts";

/** A token that a text gets, at a place of it. */
export type Added = {
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
  readonly #crew: Crew;
  readonly #plan: DecoderPlan;
  readonly #id: number;
  readonly #embed: (token: number, position: number, to: number) => void;
  readonly #floats: Float32Array;
  readonly #integers: Int32Array;

  constructor(
    { shape, weights, module }: { shape: DecoderShape; weights: SharedWeights; module: WebAssembly.Module },
    crew: Crew,
    texts: Texts,
  ) {
    const plan = planDecoder(shape, weights, texts, { module, threads: crew.size });
    this.#crew = crew;
    this.#plan = plan;
    this.#floats = new Float32Array(plan.state.buffer);
    this.#integers = new Int32Array(plan.state.buffer);
    this.#embed = embedderOf(plan, this.#floats);
    this.#id = crew.add(plan);
  }

  /**
   * The logits of what follows the wanted tokens, in their order.
   *
   * @param added a text's tokens in order, each after those it had before
   */
  read(added: readonly Added[]): Float32Array[] {
    const logits: Float32Array[] = [];
    for (let first = 0; first < added.length; first += MOST_VECTORS) {
      logits.push(...this.#step(added.slice(first, first + MOST_VECTORS)));
    }
    return logits;
  }

  close(): void {
    this.#crew.remove(this.#id);
  }

  #step(added: readonly Added[]): Float32Array[] {
    const { tokens, x, rotation, logits } = this.#plan.buffers;
    const word = (row: number, i: number) => (tokens.place + row * tokens.stride) / 4 + i;
    let wanted = 0;
    for (const [i, { token, text, position, ...rest }] of added.entries()) {
      this.#integers[word(0, i)] = token;
      this.#integers[word(1, i)] = text;
      this.#integers[word(2, i)] = position;
      if (rest.wanted) this.#integers[word(3, wanted++)] = i;
      this.#embed(token, position, (x.place + i * x.stride) / 4);
      this.#turnTo(position, (rotation.place + i * rotation.stride) / 4);
    }
    this.#crew.run(this.#id, added.length, wanted);
    return Array.from({ length: wanted }, (_, i) => {
      const at = (logits.place + i * logits.stride) / 4;
      return this.#floats.slice(at, at + this.#plan.shape.vocabulary);
    });
  }

  /** Cosines and sines of a position, in single precision as everyone has it. */
  #turnTo(position: number, at: number): void {
    const { frequencies } = this.#plan.shape;
    for (const [i, frequency] of frequencies.entries()) {
      const angle = Math.fround(position * frequency);
      this.#floats[at + i] = Math.cos(angle);
      this.#floats[at + frequencies.length + i] = Math.sin(angle);
    }
  }
}

/** Puts a token's first vector to a float index. */
function embedderOf(plan: DecoderPlan, floats: Float32Array) {
  const table = (name: string) => {
    const tensor = plan.weights.tensors[name];
    const memory = plan.weights.slabs[tensor?.slab ?? 0];
    if (!tensor || !memory) throw new Error(`there is no parameter ${name}`);
    return new Float32Array(memory.buffer, tensor.place);
  };
  const { width, type } = plan.shape;
  const words = table(type === "gpt2" ? "transformer.wte.weight" : "model.embed_tokens.weight");
  const places = type === "gpt2" ? table("transformer.wpe.weight") : null;
  return (token: number, position: number, to: number) => {
    for (let i = 0; i < width; i++) {
      floats[to + i] = (words[token * width + i] ?? 0) + (places?.[position * width + i] ?? 0);
    }
  };
}
