import type { Tensor } from "@tensorflow/tfjs";
import { Bug } from "../../../protocol/errors.ts";
import { type Ops, sizeOf, timesTransposed, transposedTimes } from "./ops.ts";

/**
 * Causal self-attention with H heads over B sequences of T tokens, from the joint queries, keys and values [B T, 3 C]
 * to [B T, C]. Source: Vaswani et al. 2017, section 3.2.
 */
export type Heads = { readonly sequences: number; readonly length: number; readonly heads: number };

/** [T, T]: 0 where a token may attend, on and below the diagonal, and a huge negative number elsewhere. */
export function causalMask({ tf }: Ops, length: number): Tensor {
  const mask = new Float32Array(length * length);
  for (let row = 0; row < length; row++) mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
  return tf.tensor(mask, [length, length]);
}

/** Leaves out some of the weights, [B, H, T, T]. */
export type DropWeights = (weights: Tensor) => Tensor;

export const keepWeights: DropWeights = (weights) => weights;

/** @param mask of `causalMask` */
export function attention(
  ops: Ops,
  qkv: Tensor,
  mask: Tensor,
  shape: Heads,
  drop: DropWeights = keepWeights,
): Tensor {
  const { tf } = ops;
  return tf.tidy(() => {
    const [q, k, v] = splitHeads(ops, qkv, shape);
    const y = tf.transpose(tf.matMul(drop(weightsOf(ops, q, k, mask)), v), [0, 2, 1, 3]);
    return tf.reshape(y, [shape.sequences * shape.length, -1]);
  });
}

/** The share of each token in what another attends to, [B, H, T, T]. The queries are scaled: the scores are many more. */
function weightsOf({ tf, ...ops }: Ops, q: Tensor, k: Tensor, mask: Tensor): Tensor {
  return tf.tidy(() => tf.softmax(tf.add(timesTransposed({ tf, ...ops }, q, k), mask)));
}

/**
 * The gradient for the joint queries, keys and values. The weights, the largest tensor of a block, are computed once
 * more: a fiftieth of a step's time against a quarter of what a block would keep.
 *
 * @param saved the input and the output of `attention`
 * @param mask the same as in the forward pass
 * @param drop the same as in the forward pass
 */
export function attentionBackward(
  ops: Ops,
  dy: Tensor,
  saved: { readonly qkv: Tensor; readonly attended: Tensor },
  mask: Tensor,
  shape: Heads,
  drop: DropWeights = keepWeights,
): Tensor {
  const { tf } = ops;
  const { sequences, length, heads } = shape;
  return tf.tidy(() => {
    const [q, k, v, scale] = splitHeads(ops, saved.qkv, shape);
    const perHead = (x: Tensor) => tf.transpose(tf.reshape(x, [sequences, length, heads, -1]), [0, 2, 1, 3]);
    const d = perHead(dy);
    const weights = weightsOf(ops, q, k, mask);
    const kept = drop(weights);
    const shared = perHead(perHeadProducts(ops, dy, saved.attended, heads));
    const dScores = scoresBackward(ops, timesTransposed(ops, d, v), { weights, kept, shared });
    const dq = tf.mul(tf.matMul(dScores, k), scale);
    const parts = [dq, transposedTimes(ops, dScores, q), transposedTimes(ops, kept, d)];
    return tf.reshape(tf.transpose(tf.stack(parts), [1, 3, 0, 2, 4]), [sequences * length, -1]);
  });
}

/** Products of rows, head by head: [N, H D] and [N, H D] -> [N, H]. */
export const perHeadProducts = ({ tf }: Ops, a: Tensor, b: Tensor, heads: number): Tensor =>
  tf.tidy(() => tf.sum(tf.reshape(tf.mul(a, b), [sizeOf(a, 0), heads, -1]), -1));

/**
 * From the gradient of the weights that were kept to that of the scores: a score also lowers the weights of all
 * others in its row, by what they share, the product of the attention's output with its gradient.
 */
export function scoresBackward(
  { tf }: Ops,
  dKept: Tensor,
  { weights, kept, shared }: { readonly weights: Tensor; readonly kept: Tensor; readonly shared: Tensor },
): Tensor {
  return tf.tidy(() =>
    kept === weights
      ? tf.mul(weights, tf.sub(dKept, shared))
      : tf.sub(tf.mul(dKept, kept), tf.mul(weights, shared)),
  );
}

/** [B T, 3 C] -> queries, times their scale, keys and values, each [B, H, T, D], and that scale. */
function splitHeads(
  { tf }: Ops,
  qkv: Tensor,
  { sequences, length, heads }: Heads,
): [q: Tensor, k: Tensor, v: Tensor, scale: number] {
  const parts = tf.transpose(tf.reshape(qkv, [sequences, length, 3, heads, -1]), [2, 0, 3, 1, 4]);
  const [q, k, v] = tf.unstack(parts);
  if (!q || !k || !v) throw new Bug("queries, keys and values must be three");
  const scale = 1 / Math.sqrt(sizeOf(q, -1));
  return [tf.mul(q, scale), k, v, scale];
}
