import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { type Program, recordProgram } from "../backend/program.ts";
import { type Kit, timesTransposed } from "../models/ops.ts";
import type { Cache } from "./cache.ts";
import { type Attend, type Decoder, joinHeads, rowsOf } from "./decoder.ts";

/**
 * Steps of one token, each one run of a TensorFlow graph. A graph has fixed shapes, so keys and values are kept in two
 * parts: `past`, memory for C places that the graph only reads, and `recent`, for a few, to which each step adds its
 * own. When the recent places are full they move to the past; when that is full too it is made twice as large, for
 * which another graph is recorded. Places that are not taken yet are hidden by the mask.
 */
export class RecordedSteps {
  readonly #kit: Kit;
  readonly #decoder: Decoder;
  /** Places of the past and of the recent part that are taken, padding included. */
  #taken: number;
  #added = 0;
  #past: Pairs;
  #recent: Pairs;
  readonly #programs: Programs;

  /**
   * @param cache its keys and values are copied; it stays the caller's
   * @param programs graphs of this decoder that were recorded before; new ones are added, and are the caller's
   */
  constructor(kit: Kit, decoder: Decoder, cache: Cache, programs: Programs) {
    this.#kit = kit;
    this.#programs = programs;
    this.#decoder = decoder;
    this.#taken = cache.length;
    this.#past = mapPairs(cache.layers, (tensor) => this.#padded(tensor));
    this.#recent = mapPairs(cache.layers, ({ shape: [sequences = 0] }) =>
      kit.tf.zeros([sequences, decoder.keyHeads, RECENT, decoder.headWidth]),
    );
  }

  /**
   * The logits of what follows each sequence after one more token, [B, V].
   *
   * @param lengths how many tokens each sequence had before, padding not counted
   */
  step(tokens: readonly number[], lengths: readonly number[]): Tensor {
    const { tf } = this.#kit;
    if (this.#added === RECENT) this.#settle();
    const fed: Fed = {
      ids: tf.tensor1d([...tokens], "int32"),
      places: this.#decoder.places(lengths, 1),
      mask: this.#mask(lengths),
      chosen: tf.tensor2d(oneHot(this.#added), [RECENT, 1]),
    };
    const own = [fed.ids, ...fed.places, fed.mask, fed.chosen];
    const kept = [this.#past, this.#recent].flatMap((pairs) =>
      pairs.flatMap(({ keys, values }) => [keys, values]),
    );
    const inputs = [...own, ...kept, ...Object.values(this.#decoder.theta)];
    const shape = `${tokens.length} x ${capacityOf(this.#past[0]?.keys)}`;
    const program = this.#programs.get(shape) ?? recordProgram(tf, inputs, () => this.#compute(fed));
    this.#programs.set(shape, program);
    const [logits, ...recent] = program.run(inputs);
    tf.dispose(own);
    if (!logits) throw new Error("a step must give logits");
    this.#replaceRecent(recent);
    this.#added++;
    return logits;
  }

  dispose(): void {
    this.#kit.tf.dispose([...flat(this.#past), ...flat(this.#recent)]);
  }

  /** What is recorded: the logits, and the recent keys and values of each layer with the new ones in them. */
  #compute({ ids, places, mask, chosen }: Fed): Tensor[] {
    const { tf } = this.#kit;
    const recent: Tensor[] = [];
    const attend: Attend = (heads, layer) => {
      const [past, before] = [this.#past[layer], this.#recent[layer]];
      if (!past || !before) throw new Error(`there is no layer ${layer}`);
      const keys = tf.keep(tf.add(before.keys, tf.mul(chosen, heads.keys)));
      const values = tf.keep(tf.add(before.values, tf.mul(chosen, heads.values)));
      recent.push(keys, values);
      return attendInTwo(this.#kit, heads.queries, past, { keys, values }, mask);
    };
    const logits = tf.tidy(() =>
      this.#decoder.logits({ sequences: ids.size, length: 1, ids, places, attend }),
    );
    return [logits, ...recent];
  }

  /** [B, 1, 1, C + recent places]: hides padding on the left, and what is not taken yet. */
  #mask(lengths: readonly number[]): Tensor {
    const capacity = capacityOf(this.#past[0]?.keys);
    const width = capacity + RECENT;
    const mask = new Float32Array(lengths.length * width).fill(HIDDEN);
    for (const [row, length] of lengths.entries()) {
      const padding = this.#taken + this.#added - length;
      const at = row * width;
      mask.fill(0, at + Math.min(padding, this.#taken), at + this.#taken);
      mask.fill(0, at + capacity + Math.max(0, padding - this.#taken), at + capacity + this.#added + 1);
    }
    return this.#kit.tf.tensor(mask, [lengths.length, 1, 1, width]);
  }

  /** Moves the recent places to the past. */
  #settle(): void {
    const { tf } = this.#kit;
    const next = this.#past.map((past, layer) => {
      const join = (part: keyof Pairs[number]) =>
        tf.tidy(() => {
          const taken = tf.slice(past[part], [0, 0, 0, 0], [-1, -1, this.#taken, -1]);
          const recent = this.#recent[layer]?.[part];
          return this.#padded(recent ? tf.concat([taken, recent], 2) : taken);
        });
      return { keys: join("keys"), values: join("values") };
    });
    tf.dispose(flat(this.#past));
    this.#past = next;
    this.#replaceRecent(flat(this.#recent).map((tensor) => tf.zerosLike(tensor)));
    this.#taken += RECENT;
    this.#added = 0;
  }

  #replaceRecent(tensors: readonly Tensor[]): void {
    this.#kit.tf.dispose(flat(this.#recent));
    this.#recent = this.#recent.map((before, layer) => ({
      keys: tensors[2 * layer] ?? before.keys,
      values: tensors[2 * layer + 1] ?? before.values,
    }));
  }

  /** [B, K, T, D] -> [B, K, C, D], C being the smallest capacity that holds T. */
  #padded(tensor: Tensor): Tensor {
    const length = tensor.shape[2] ?? 0;
    let capacity = SMALLEST_PAST;
    while (capacity < length) capacity *= 2;
    const none: [number, number] = [0, 0];
    return this.#kit.tf.pad(tensor, [none, none, [0, capacity - length], none]);
  }
}

/** By the number of sequences and the capacity of the past. */
export type Programs = Map<string, Program>;

const RECENT = 32;
const SMALLEST_PAST = 64;
const HIDDEN = -1e9;

/** Per layer: [B, K, places, D]. */
type Pairs = { keys: Tensor; values: Tensor }[];

/** What changes from step to step, apart from keys and values. */
type Fed = {
  readonly ids: Tensor1D;
  readonly places: readonly Tensor[];
  readonly mask: Tensor;
  /** 1 at the recent place that is the step's, [recent places, 1]. */
  readonly chosen: Tensor;
};

/** Attention to the past and to the recent places, [B, K G D]. */
function attendInTwo(
  kit: Kit,
  queries: Tensor,
  past: Pairs[number],
  recent: Pairs[number],
  mask: Tensor,
): Tensor {
  const { tf } = kit;
  const rows = rowsOf(kit, queries);
  const [sequences = 0, keyHeads = 0, group = 0, depth = 0] = rows.shape;
  // For one query and few places a product by elements is twice as fast as a matrix product.
  const few = group === 1;
  const scores = few
    ? tf.reshape(tf.sum(tf.mul(rows, recent.keys), -1), [sequences, keyHeads, 1, RECENT])
    : timesTransposed(kit, rows, recent.keys);
  const all = tf.mul(tf.concat([timesTransposed(kit, rows, past.keys), scores], -1), 1 / Math.sqrt(depth));
  const [old, young] = tf.split(tf.softmax(tf.add(all, mask)), [capacityOf(past.keys), RECENT], -1);
  if (!old || !young) throw new Error("attention must have two parts");
  const gathered = few
    ? tf.sum(tf.mul(tf.reshape(young, [sequences, keyHeads, RECENT, 1]), recent.values), 2, true)
    : tf.matMul(young, recent.values);
  return joinHeads(kit, tf.add(tf.matMul(old, past.values), gathered), queries);
}

const capacityOf = (keys: Tensor | undefined): number => keys?.shape[2] ?? 0;

const flat = (pairs: Pairs): Tensor[] => pairs.flatMap(({ keys, values }) => [keys, values]);

const mapPairs = (pairs: Pairs, map: (tensor: Tensor) => Tensor): Pairs =>
  pairs.map(({ keys, values }) => ({ keys: map(keys), values: map(values) }));

const oneHot = (place: number): Float32Array => new Float32Array(RECENT).fill(1, place, place + 1);
