import type { Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { InvalidInput } from "../../protocol/errors.ts";
import { causalMask } from "../models/attention.ts";
import type { ModelConfig } from "../models/family.ts";
import type { Gpt2 } from "../models/gpt2.ts";
import type { Llama } from "../models/llama.ts";
import type { Tensors } from "../models/model.ts";
import { type Kit, timesTransposed } from "../models/ops.ts";
import type { Cache } from "./cache.ts";
import { gpt2Decoder } from "./gpt2.ts";
import { llamaDecoder } from "./llama.ts";

/** Tokens that come after those in a cache: B sequences of T, T being 1 unless the cache is empty. */
export type Step = {
  readonly sequences: number;
  readonly length: number;
  /** [B T] */
  readonly ids: Tensor1D;
  /** The place of each sequence's first token of the step. */
  readonly positions: readonly number[];
  readonly cache: Cache | null;
  /** What is added to the scores, broadcast to [B, K, G, T, T of all]: hides what a token may not look at. */
  readonly mask: Tensor | null;
};

export type Stepped = { logits: Tensor2D; cache: Cache };

/**
 * A language model that predicts one token after the other, and keeps the keys and values of those before. Only the
 * tensors returned are left; the cache of the step stays the caller's.
 */
export type Decoder = {
  /** The logits of what follows each sequence, [B, V], and the cache with the step's tokens in it. */
  step(step: Step): Stepped;
};

/** @throws InvalidInput for a family that does not predict what comes next */
export function decoderOf(kit: Kit, type: string, config: ModelConfig, theta: Tensors): Decoder {
  if (type === "gpt2") return gpt2Decoder(kit, config as Gpt2, theta);
  if (type === "llama") return llamaDecoder(kit, config as Llama, theta);
  throw new InvalidInput(`a ${type} model does not say what comes next; gpt2 and llama models generate text`);
}

/** What hides padding on the left: [B, 1, 1, 1, T]; null when there is none. */
export function paddingMask({ tf }: Kit, padding: readonly number[], length: number): Tensor | null {
  if (padding.every((places) => places === 0)) return null;
  const mask = new Float32Array(padding.length * length);
  for (const [row, places] of padding.entries()) mask.fill(-1e9, row * length, row * length + places);
  return tf.tensor(mask, [padding.length, 1, 1, 1, length]);
}

/** Reads a whole prompt: the first step of one sequence. */
export function prefill(kit: Kit, decoder: Decoder, tokens: readonly number[]): Stepped {
  const { tf } = kit;
  return tf.tidy(() =>
    decoder.step({
      sequences: 1,
      length: tokens.length,
      ids: tf.tensor1d([...tokens], "int32"),
      positions: [0],
      cache: null,
      mask: tokens.length === 1 ? null : causalMask(kit, tokens.length),
    }),
  );
}

/** One layer's new queries [B, K, G, T, D], keys and values [B, K, T, D]; G queries share a key. */
export type Heads = { readonly queries: Tensor; readonly keys: Tensor; readonly values: Tensor };

/**
 * Attention of new tokens to themselves and those in the cache: [B T, K G D], and the layer's part of the new cache.
 */
export function cachedAttention(kit: Kit, heads: Heads, layer: number, step: Step) {
  const { tf } = kit;
  const before = step.cache?.layers[layer];
  const keys = before ? tf.concat([before.keys, heads.keys], 2) : heads.keys;
  const values = before ? tf.concat([before.values, heads.values], 2) : heads.values;
  const [sequences = 0, keyHeads = 0, group = 0, length = 0, depth = 0] = heads.queries.shape;
  // The queries that share a key are rows of one product.
  const rows = tf.reshape(heads.queries, [sequences, keyHeads, group * length, depth]);
  const scores = tf.mul(timesTransposed(kit, rows, keys), 1 / Math.sqrt(depth));
  const weights = tf.softmax(masked(kit, scores, step.mask, group, length));
  const attended = tf.reshape(tf.matMul(weights, values), [sequences, keyHeads, group, length, depth]);
  const y = length === 1 ? attended : tf.transpose(attended, [0, 3, 1, 2, 4]);
  return { y: tf.reshape(y, [sequences * length, keyHeads * group * depth]), keys, values };
}

function masked({ tf }: Kit, scores: Tensor, mask: Tensor | null, group: number, length: number): Tensor {
  if (!mask) return scores;
  const [sequences = 0, keyHeads = 0, , all = 0] = scores.shape;
  const apart = tf.reshape(scores, [sequences, keyHeads, group, length, all]);
  return tf.reshape(tf.add(apart, mask), scores.shape);
}

/** Each token's place in its sequence, [B T]. */
export const placesOf = ({ positions, length }: Step): number[] =>
  positions.flatMap((first) => Array.from({ length }, (_, i) => first + i));

/** The rows of the last token of each sequence: [B T, C] -> [B, C]. */
export function lastRows({ tf }: Kit, x: Tensor, { sequences, length }: Step): Tensor {
  if (length === 1) return x;
  const width = x.shape.at(-1) ?? 0;
  const last = tf.slice(tf.reshape(x, [sequences, length, width]), [0, length - 1, 0], [-1, 1, -1]);
  return tf.reshape(last, [sequences, width]);
}
