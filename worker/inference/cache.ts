import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { causalMask } from "../models/attention.ts";
import type { Kit } from "../models/ops.ts";
import { type Attend, type Decoder, joinHeads, rowsOf, scoresOf } from "./decoder.ts";

/**
 * The keys and values of the tokens that a model has seen, per layer [B, K, T, D]: B sequences, K key heads of D.
 * Shorter sequences are padded on the left, so that all of them end at the same place.
 */
export type Cache = {
  layers: { keys: Tensor; values: Tensor }[];
  /** T: places, padding included. */
  length: number;
};

export type Stepped = { logits: Tensor2D; cache: Cache };

/** Reads a whole prompt. */
export function prefill(kit: Kit, decoder: Decoder, tokens: readonly number[]): Stepped {
  return kit.tf.tidy(() => {
    const mask = tokens.length === 1 ? null : causalMask(kit, tokens.length);
    return run(kit, decoder, { tokens, sequences: 1, positions: [0], cache: null, mask });
  });
}

/**
 * Reads one more token of each sequence. The cache stays the caller's.
 *
 * @param lengths how many tokens each sequence has in the cache, padding not counted
 */
export function advance(
  kit: Kit,
  decoder: Decoder,
  cache: Cache,
  tokens: readonly number[],
  lengths: readonly number[],
): Stepped {
  return kit.tf.tidy(() => {
    const padding = lengths.map((length) => cache.length - length);
    const mask = paddingMask(kit, padding, cache.length + 1);
    return run(kit, decoder, { tokens, sequences: tokens.length, positions: lengths, cache, mask });
  });
}

type Run = {
  readonly tokens: readonly number[];
  readonly sequences: number;
  readonly positions: readonly number[];
  readonly cache: Cache | null;
  /** Added to the scores, broadcast to [B, K, G, T, T of all]: hides what a token may not look at. */
  readonly mask: Tensor | null;
};

function run(kit: Kit, decoder: Decoder, { tokens, sequences, positions, cache, mask }: Run): Stepped {
  const { tf } = kit;
  const length = tokens.length / sequences;
  const layers: Cache["layers"] = [];
  const attend: Attend = (heads, layer) => {
    const before = cache?.layers[layer];
    // The layer's other tensors go when it is done; these stay.
    const keys = tf.keep(before ? tf.concat([before.keys, heads.keys], 2) : tf.clone(heads.keys));
    const values = tf.keep(before ? tf.concat([before.values, heads.values], 2) : tf.clone(heads.values));
    layers.push({ keys, values });
    const scores = scoresOf(kit, rowsOf(kit, heads.queries), keys);
    const weights = tf.softmax(masked(kit, scores, mask, heads.queries));
    return joinHeads(kit, tf.matMul(weights, values), heads.queries);
  };
  const ids = tf.tensor1d([...tokens], "int32");
  const places = decoder.places(positions, length);
  const logits = decoder.logits({ sequences, length, ids, places, attend });
  return { logits, cache: { layers, length: (cache?.length ?? 0) + length } };
}

function masked({ tf }: Kit, scores: Tensor, mask: Tensor | null, queries: Tensor): Tensor {
  if (!mask) return scores;
  const apart = tf.reshape(scores, [...queries.shape.slice(0, 4), scores.shape.at(-1) ?? 0]);
  return tf.reshape(tf.add(apart, mask), scores.shape);
}

/** What hides padding on the left: [B, 1, 1, 1, T]; null when there is none. */
function paddingMask({ tf }: Kit, padding: readonly number[], length: number): Tensor | null {
  if (padding.every((places) => places === 0)) return null;
  const mask = new Float32Array(padding.length * length);
  for (const [row, places] of padding.entries()) mask.fill(-1e9, row * length, row * length + places);
  return tf.tensor(mask, [padding.length, 1, 1, 1, length]);
}

/** Joins caches into one of all their sequences. The parts stay the caller's. */
export function joinCaches({ tf }: Kit, caches: readonly Cache[]): Cache {
  const length = Math.max(...caches.map((cache) => cache.length));
  const none: [number, number] = [0, 0];
  const padded = (tensor: Tensor) => tf.pad(tensor, [none, none, [length - (tensor.shape[2] ?? 0), 0], none]);
  const join = (layer: number, part: "keys" | "values") =>
    tf.tidy(() => tf.concat(caches.flatMap(({ layers }) => layers[layer]?.[part] ?? []).map(padded)));
  const layers = (caches[0]?.layers ?? []).map((_, layer) => ({
    keys: join(layer, "keys"),
    values: join(layer, "values"),
  }));
  return { layers, length };
}

/** The cache of some of its sequences. The whole one stays the caller's. */
export function selectSequences({ tf }: Kit, cache: Cache, rows: readonly number[]): Cache {
  const ids = tf.tensor1d([...rows], "int32");
  const layers = cache.layers.map(({ keys, values }) => ({
    keys: tf.gather(keys, ids),
    values: tf.gather(values, ids),
  }));
  ids.dispose();
  return { layers, length: cache.length };
}

export const disposeCache = ({ tf }: Kit, cache: Cache): void => {
  tf.dispose(cache.layers.flatMap(({ keys, values }) => [keys, values]));
};
