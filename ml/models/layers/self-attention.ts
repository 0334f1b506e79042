import type { Tensor } from "@tensorflow/tfjs";
import { attention, attentionBackward, type Heads } from "./attention.ts";
import { drop } from "./dropout.ts";
import {
  type Groups,
  groupedAttention,
  groupedAttentionBackward,
  joinHeads,
  splitHeads,
} from "./grouped-attention.ts";
import { type Branch, mergedGradients, type Pass } from "./layer.ts";
import type { Linear } from "./linear.ts";
import type { Ops } from "./ops.ts";

/** The names of the dropout masks of the attention weights and of the result. */
export type AttentionDropout = { readonly weights: string; readonly output: string };

export type JointAttentionLayers = {
  /** Makes queries, keys and values. */
  readonly projection: Linear;
  readonly output: Linear;
  readonly dropout: AttentionDropout;
};

/**
 * Causal self-attention whose queries, keys and values one layer makes.
 *
 * @param mask of `causalMask`
 */
export function jointAttention(
  pass: Pass,
  layers: JointAttentionLayers,
  mask: Tensor,
  heads: Heads,
): Branch<{ qkv: Tensor; attended: Tensor }> {
  const { ops, dropout } = pass;
  const dropWeights = (weights: Tensor) => drop(ops, weights, layers.dropout.weights, dropout);
  const dropOutput = (y: Tensor) => drop(ops, y, layers.dropout.output, dropout);
  return {
    forward: (x) =>
      ops.tf.tidy(() => {
        const qkv = layers.projection.forward(pass, x);
        const attended = attention(ops, qkv, mask, heads, dropWeights);
        return { y: dropOutput(layers.output.forward(pass, attended)), saved: { qkv, attended } };
      }),
    backward: (dy, saved, x) =>
      ops.tf.tidy(() => {
        const output = layers.output.backward(pass, dropOutput(dy), saved.attended);
        const dQkv = attentionBackward(ops, output.dx, saved, mask, heads, dropWeights);
        const input = layers.projection.backward(pass, dQkv, x());
        return { dx: [input.dx], gradient: mergedGradients([output, input]) };
      }),
  };
}

/** Changes queries or keys before they are compared: scales them, or rotates them by their positions. */
export type Preparation = { forward(x: Tensor): Tensor; backward(dy: Tensor): Tensor };

export const unchanged: Preparation = { forward: (x) => x, backward: (dy) => dy };

export const scaling = ({ tf }: Ops, factor: number): Preparation => ({
  forward: (x) => tf.mul(x, factor),
  backward: (dy) => tf.mul(dy, factor),
});

export type GroupedAttentionLayers = {
  readonly queries: Linear;
  readonly keys: Linear;
  readonly values: Linear;
  readonly output: Linear;
  /** That of the queries has their factor of 1 / sqrt(D). */
  readonly prepare: { readonly queries: Preparation; readonly keys: Preparation };
  /** Left out: no dropout. */
  readonly dropout?: AttentionDropout;
};

/**
 * Self-attention with a layer each for queries, keys and values.
 *
 * @param mask added to the scores; null: every token attends to every other
 */
export function separateAttention(
  pass: Pass,
  layers: GroupedAttentionLayers,
  mask: Tensor | null,
  groups: Groups,
): Branch<{ q: Tensor; k: Tensor; v: Tensor; attended: Tensor }> {
  const { ops } = pass;
  const { prepare } = layers;
  const dropAt = (part: keyof AttentionDropout) => (x: Tensor) =>
    layers.dropout ? drop(ops, x, layers.dropout[part], pass.dropout) : x;
  const [dropWeights, dropOutput] = [dropAt("weights"), dropAt("output")];
  return {
    forward: (x) =>
      ops.tf.tidy(() => {
        const project = (layer: Linear, heads: number) =>
          splitHeads(ops, layer.forward(pass, x), groups, heads);
        const q = prepare.queries.forward(project(layers.queries, groups.heads));
        const k = prepare.keys.forward(project(layers.keys, groups.keyValueHeads));
        const v = project(layers.values, groups.keyValueHeads);
        const attended = groupedAttention(ops, { q, k, v }, mask, groups, dropWeights);
        return { y: dropOutput(layers.output.forward(pass, attended)), saved: { q, k, v, attended } };
      }),
    backward: (dy, saved, x) =>
      ops.tf.tidy(() => {
        const output = layers.output.backward(pass, dropOutput(dy), saved.attended);
        const { dq, dk, dv } = groupedAttentionBackward(ops, output.dx, saved, mask, groups, dropWeights);
        const input = x();
        const project = (layer: Linear, d: Tensor) => layer.backward(pass, joinHeads(ops, d, groups), input);
        const queries = project(layers.queries, prepare.queries.backward(dq));
        const keys = project(layers.keys, prepare.keys.backward(dk));
        const values = project(layers.values, dv);
        const gradient = mergedGradients([output, queries, keys, values]);
        return { dx: [queries.dx, keys.dx, values.dx], gradient };
      }),
  };
}
