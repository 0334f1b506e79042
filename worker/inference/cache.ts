import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import type { Kit } from "../models/ops.ts";

/**
 * The keys and values of the tokens that a model has seen, per layer [B, K, T, D]: B sequences, K key heads of D.
 * Shorter sequences are padded on the left, so that all of them end at the same place.
 */
export type Cache = {
  layers: { keys: Tensor; values: Tensor }[];
  /** T: places, padding included. */
  length: number;
};

/** Joins caches into one of all their sequences. The parts stay the caller's. */
export function joinCaches({ tf }: Kit, caches: readonly Cache[]): Cache {
  const length = Math.max(...caches.map((cache) => cache.length));
  const join = (layer: number, part: "keys" | "values") =>
    tf.tidy(() =>
      tf.concat(
        caches.flatMap((cache) => {
          const tensor = cache.layers[layer]?.[part];
          if (!tensor) return [];
          const none = [0, 0] as [number, number];
          return [tf.pad(tensor, [none, none, [length - cache.length, 0], none])];
        }),
      ),
    );
  const layers = (caches[0]?.layers ?? []).map((_, layer) => ({
    keys: join(layer, "keys"),
    values: join(layer, "values"),
  }));
  return { layers, length };
}

/** The cache of some of its sequences. The whole one stays the caller's. */
export function selectSequences({ tf }: Kit, cache: Cache, rows: readonly number[]): Cache {
  const ids: Tensor1D = tf.tensor1d([...rows], "int32");
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
