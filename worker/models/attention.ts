import type { Tensor } from "@tensorflow/tfjs";
import { type Kit, timesTransposed, transposedTimes } from "./ops.ts";

/**
 * Causal self-attention with H heads over B sequences of T tokens, from the joint queries, keys and values [B T, 3 C]
 * to [B T, C]. Source: Vaswani et al. 2017, section 3.2.
 */
export type Heads = { readonly sequences: number; readonly length: number; readonly heads: number };

/** [T, T]: 0 where a token may look, on and below the diagonal, and a huge negative number elsewhere. */
export function causalMask({ tf }: Kit, length: number): Tensor {
  const mask = new Float32Array(length * length);
  for (let row = 0; row < length; row++) mask.fill(-1e9, row * length + row + 1, (row + 1) * length);
  return tf.tensor(mask, [length, length]);
}

/** Leaves out some of the weights, [B, H, T, T]. */
export type DropWeights = (weights: Tensor) => Tensor;

export const keepWeights: DropWeights = (weights) => weights;

/** @param mask of `causalMask` */
export function attention(
  kit: Kit,
  qkv: Tensor,
  mask: Tensor,
  shape: Heads,
  drop: DropWeights = keepWeights,
): Tensor {
  const { tf } = kit;
  return tf.tidy(() => {
    const [q, k, v] = splitHeads(kit, qkv, shape);
    const y = tf.transpose(tf.matMul(drop(weightsOf(kit, q, k, mask)), v), [0, 2, 1, 3]);
    return tf.reshape(y, [shape.sequences * shape.length, -1]);
  });
}

/** How much each token looks at each other, [B, H, T, T]. */
function weightsOf(kit: Kit, q: Tensor, k: Tensor, mask: Tensor): Tensor {
  const { tf } = kit;
  return tf.tidy(() => tf.softmax(tf.add(tf.mul(timesTransposed(kit, q, k), scaleOf(q)), mask)));
}

/**
 * The gradient for the joint queries, keys and values. The weights, the largest tensor of a block, are computed once
 * more: a fiftieth of a step's time against a quarter of what a block would keep.
 *
 * @param mask the same as in the forward pass
 * @param drop the same as in the forward pass
 */
export function attentionBackward(
  kit: Kit,
  dy: Tensor,
  qkv: Tensor,
  mask: Tensor,
  shape: Heads,
  drop: DropWeights = keepWeights,
): Tensor {
  const { tf } = kit;
  const { sequences, length, heads } = shape;
  return tf.tidy(() => {
    const [q, k, v] = splitHeads(kit, qkv, shape);
    const d = tf.transpose(tf.reshape(dy, [sequences, length, heads, -1]), [0, 2, 1, 3]);
    const weights = weightsOf(kit, q, k, mask);
    const kept = drop(weights);
    const weighted = tf.mul(timesTransposed(kit, d, v), kept);
    // The softmax's gradient: a score also lowers the weights of all others in its row.
    const shared = tf.mul(weights, tf.sum(weighted, -1, true));
    const dScores = tf.mul(tf.sub(weighted, shared), scaleOf(q));
    const parts = [tf.matMul(dScores, k), transposedTimes(kit, dScores, q), transposedTimes(kit, kept, d)];
    return tf.reshape(tf.transpose(tf.stack(parts), [1, 3, 0, 2, 4]), [sequences * length, -1]);
  });
}

const scaleOf = (q: Tensor): number => 1 / Math.sqrt(q.shape.at(-1) ?? 1);

/** [B T, 3 C] -> queries, keys and values, each [B, H, T, D]. */
function splitHeads({ tf }: Kit, qkv: Tensor, { sequences, length, heads }: Heads): [Tensor, Tensor, Tensor] {
  const parts = tf.transpose(tf.reshape(qkv, [sequences, length, 3, heads, -1]), [2, 0, 3, 1, 4]);
  const [q, k, v] = tf.unstack(parts);
  if (!q || !k || !v) throw new Error("queries, keys and values must be three");
  return [q, k, v];
}
