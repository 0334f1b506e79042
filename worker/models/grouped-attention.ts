import type { Tensor } from "@tensorflow/tfjs";
import { type DropWeights, keepWeights } from "./attention.ts";
import { type Kit, timesTransposed, transposedTimes } from "./ops.ts";

/**
 * Attention with H heads of queries over K heads of keys and values, each shared by H / K neighbouring heads
 * (K = H: every head has its own). Source: Ainslie et al. 2023, section 2.2.
 *
 * The queries of a group are laid end to end, [B K, H/K T, D]: so one product per group needs no copy of its keys,
 * and the gradients of keys and values come out summed over the group.
 */
export type Groups = {
  readonly sequences: number;
  readonly length: number;
  /** H */
  readonly heads: number;
  /** K, which divides H. */
  readonly keyValueHeads: number;
};

export type GroupedAttention = {
  /** [B T, H D] */
  readonly y: Tensor;
  /** How much each token looks at each other, [B, H, T, T]. */
  readonly weights: Tensor;
};

/** [B T, H D] -> [B, H, T, D] */
export function splitHeads({ tf }: Kit, x: Tensor, { sequences, length }: Groups, heads: number): Tensor {
  return tf.tidy(() => tf.transpose(tf.reshape(x, [sequences, length, heads, -1]), [0, 2, 1, 3]));
}

/** [B, H, T, D] -> [B T, H D] */
export function joinHeads({ tf }: Kit, x: Tensor, { sequences, length }: Groups): Tensor {
  return tf.tidy(() => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [sequences * length, -1]));
}

/**
 * @param q [B, H, T, D], scaled by 1 / sqrt(D)
 * @param k and v: [B, K, T, D]
 * @param mask added to the scores: broadcasts to [B, H, T, T]; null: everyone sees everyone
 */
export function groupedAttention(
  kit: Kit,
  { q, k, v }: { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor },
  mask: Tensor | null,
  shape: Groups,
  drop: DropWeights = keepWeights,
): GroupedAttention {
  const { tf } = kit;
  return tf.tidy(() => {
    const scores = perHead(
      kit,
      timesTransposed(kit, perGroup(kit, q, shape), perGroup(kit, k, shape)),
      shape,
    );
    const weights = tf.softmax(mask ? tf.add(scores, mask) : scores);
    const y = perHead(kit, tf.matMul(perGroup(kit, drop(weights), shape), perGroup(kit, v, shape)), shape);
    return { y: joinHeads(kit, y, shape), weights };
  });
}

export type GroupedSaved = {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly weights: Tensor;
};

/**
 * The gradients of queries, [B, H, T, D], and of keys and values, [B, K, T, D].
 *
 * @param drop the same as in the forward pass
 */
export function groupedAttentionBackward(
  kit: Kit,
  dy: Tensor,
  saved: GroupedSaved,
  shape: Groups,
  drop: DropWeights = keepWeights,
) {
  const { tf } = kit;
  return tf.tidy(() => {
    const [q, k, v] = [saved.q, saved.k, saved.v].map((x) => perGroup(kit, x, shape)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const weights = perGroup(kit, saved.weights, shape);
    const kept = perGroup(kit, drop(saved.weights), shape);
    const d = perGroup(kit, splitHeads(kit, dy, shape, shape.heads), shape);
    const weighted = tf.mul(timesTransposed(kit, d, v), kept);
    // The softmax's gradient: a score also lowers the weights of all others in its row.
    const dScores = tf.sub(weighted, tf.mul(weights, tf.sum(weighted, -1, true)));
    const keyShape = saved.k.shape;
    return {
      dq: tf.reshape(tf.matMul(dScores, k), saved.q.shape),
      dk: tf.reshape(transposedTimes(kit, dScores, q), keyShape),
      dv: tf.reshape(transposedTimes(kit, kept, d), keyShape),
    };
  });
}

/** [B, H or K, T, X] -> [B K, H/K T or T, X] */
const perGroup = ({ tf }: Kit, x: Tensor, { sequences, keyValueHeads }: Groups): Tensor =>
  tf.reshape(x, [sequences * keyValueHeads, -1, x.shape.at(-1) ?? 0]);

/** [B K, H/K T, X] -> [B, H, T, X] */
const perHead = ({ tf }: Kit, x: Tensor, { sequences, heads, length }: Groups): Tensor =>
  tf.reshape(x, [sequences, heads, length, x.shape.at(-1) ?? 0]);
