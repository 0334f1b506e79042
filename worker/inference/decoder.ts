import type { Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { InvalidInput } from "../../protocol/errors.ts";
import type { ModelConfig } from "../models/family.ts";
import type { Gpt2 } from "../models/gpt2.ts";
import type { Llama } from "../models/llama.ts";
import type { Tensors } from "../models/model.ts";
import { type Kit, timesTransposed } from "../models/ops.ts";
import { gpt2Decoder } from "./gpt2.ts";
import { llamaDecoder } from "./llama.ts";

/** Tokens that come after those that are kept: B sequences of T. */
export type Step = {
  readonly sequences: number;
  readonly length: number;
  /** [B T] */
  readonly ids: Tensor1D;
  /** Of `Decoder.places`. */
  readonly places: readonly Tensor[];
  readonly attend: Attend;
};

/** One layer's new queries [B, K, G, T, D], keys and values [B, K, T, D]; G queries share a key. */
export type Heads = { readonly queries: Tensor; readonly keys: Tensor; readonly values: Tensor };

/** Attention of a layer's new tokens to themselves and to those kept, [B T, K G D]; keeps their keys and values. */
export type Attend = (heads: Heads, layer: number) => Tensor;

/**
 * A language model that predicts one token after the other, when the keys and values of those before are kept. Both
 * functions make only the tensors that they return, apart from what `attend` keeps.
 */
export type Decoder = {
  readonly layers: number;
  /** K */
  readonly keyHeads: number;
  /** D */
  readonly headWidth: number;
  /** All that a step depends on. */
  readonly theta: Tensors;
  /**
   * What the model needs to know of where tokens are.
   *
   * @param positions the place of each sequence's first token of the step
   */
  places(positions: readonly number[], length: number): Tensor[];
  /** The logits of what follows each sequence, [B, V]. */
  logits(step: Step): Tensor2D;
};

/** @throws InvalidInput for a family that does not predict what comes next */
export function decoderOf(kit: Kit, type: string, config: ModelConfig, theta: Tensors): Decoder {
  if (type === "gpt2") return gpt2Decoder(kit, config as Gpt2, theta);
  if (type === "llama") return llamaDecoder(kit, config as Llama, theta);
  throw new InvalidInput(`a ${type} model does not say what comes next; gpt2 and llama models generate text`);
}

/** The queries that share a key as rows of one product, [B, K, G T, D]. */
export function rowsOf({ tf }: Kit, queries: Tensor): Tensor {
  const [sequences = 0, keyHeads = 0, group = 0, length = 0, depth = 0] = queries.shape;
  return tf.reshape(queries, [sequences, keyHeads, group * length, depth]);
}

/** q kᵀ / sqrt(D): [B, K, G T, D], [B, K, S, D] -> [B, K, G T, S]. */
export const scoresOf = (kit: Kit, rows: Tensor, keys: Tensor): Tensor =>
  kit.tf.mul(timesTransposed(kit, rows, keys), 1 / Math.sqrt(keys.shape.at(-1) ?? 1));

/** What each query has gathered, [B, K, G T, D] -> [B T, K G D]. */
export function joinHeads({ tf }: Kit, attended: Tensor, queries: Tensor): Tensor {
  const [sequences = 0, keyHeads = 0, group = 0, length = 0, depth = 0] = queries.shape;
  const shape: [number, number] = [sequences * length, keyHeads * group * depth];
  if (length === 1) return tf.reshape(attended, shape);
  return tf.reshape(tf.transpose(tf.reshape(attended, queries.shape), [0, 3, 1, 2, 4]), shape);
}

/** The rows of the last token of each sequence: [B T, C] -> [B, C]. */
export function lastRows({ tf }: Kit, x: Tensor, { sequences, length }: Step): Tensor {
  if (length === 1) return x;
  const width = x.shape.at(-1) ?? 0;
  const last = tf.slice(tf.reshape(x, [sequences, length, width]), [0, length - 1, 0], [-1, 1, -1]);
  return tf.reshape(last, [sequences, width]);
}
