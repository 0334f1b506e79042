import type { Tensor } from "@tensorflow/tfjs";
import { type DropWeights, keepWeights, perHeadProducts, scoresBackward } from "./attention.ts";
import { type Ops, sizeOf, timesTransposed, transposedTimes } from "./ops.ts";

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

/** [B T, H D] -> [B, H, T, D] */
export function splitHeads({ tf }: Ops, x: Tensor, { sequences, length }: Groups, heads: number): Tensor {
  return tf.tidy(() => tf.transpose(tf.reshape(x, [sequences, length, heads, -1]), [0, 2, 1, 3]));
}

/** [B, H, T, D] -> [B T, H D] */
export function joinHeads({ tf }: Ops, x: Tensor, { sequences, length }: Groups): Tensor {
  return tf.tidy(() => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [sequences * length, -1]));
}

export type GroupedHeads = {
  /** [B, H, T, D], scaled by 1 / sqrt(D) */
  readonly q: Tensor;
  /** [B, K, T, D] */
  readonly k: Tensor;
  readonly v: Tensor;
};

/**
 * From queries, keys and values to [B T, H D].
 *
 * @param mask added to the scores: broadcasts to [B, H, T, T]; null: every token attends to every other
 */
export function groupedAttention(
  ops: Ops,
  { q, k, v }: GroupedHeads,
  mask: Tensor | null,
  shape: Groups,
  drop: DropWeights = keepWeights,
): Tensor {
  const { tf } = ops;
  return tf.tidy(() => {
    const weights = drop(weightsOf(ops, q, k, mask, shape));
    const y = perHead(ops, tf.matMul(perGroup(ops, weights, shape), perGroup(ops, v, shape)), shape);
    return joinHeads(ops, y, shape);
  });
}

/** The share of each token in what another attends to, [B, H, T, T]. */
function weightsOf(ops: Ops, q: Tensor, k: Tensor, mask: Tensor | null, shape: Groups): Tensor {
  const { tf } = ops;
  return tf.tidy(() => {
    const products = timesTransposed(ops, perGroup(ops, q, shape), perGroup(ops, k, shape));
    const scores = perHead(ops, products, shape);
    return tf.softmax(mask ? tf.add(scores, mask) : scores);
  });
}

/**
 * The gradients of queries, [B, H, T, D], and of keys and values, [B, K, T, D]. As in `attentionBackward`, the
 * weights are computed once more.
 *
 * @param saved the inputs and the output of `groupedAttention`
 * @param mask the same as in the forward pass
 * @param drop the same as in the forward pass
 */
export function groupedAttentionBackward(
  ops: Ops,
  dy: Tensor,
  saved: GroupedHeads & { readonly attended: Tensor },
  mask: Tensor | null,
  shape: Groups,
  drop: DropWeights = keepWeights,
) {
  const { tf } = ops;
  return tf.tidy(() => {
    const all = weightsOf(ops, saved.q, saved.k, mask, shape);
    const dropped = drop(all);
    const weights = perGroup(ops, all, shape);
    const kept = dropped === all ? weights : perGroup(ops, dropped, shape);
    const [q, k, v] = [
      perGroup(ops, saved.q, shape),
      perGroup(ops, saved.k, shape),
      perGroup(ops, saved.v, shape),
    ];
    const split = (x: Tensor) => perGroup(ops, splitHeads(ops, x, shape, shape.heads), shape);
    const d = split(dy);
    const shared = split(perHeadProducts(ops, dy, saved.attended, shape.heads));
    const dScores = scoresBackward(ops, timesTransposed(ops, d, v), { weights, kept, shared });
    const keyShape = saved.k.shape;
    return {
      dq: tf.reshape(tf.matMul(dScores, k), saved.q.shape),
      dk: tf.reshape(transposedTimes(ops, dScores, q), keyShape),
      dv: tf.reshape(transposedTimes(ops, kept, d), keyShape),
    };
  });
}

/** [B, H or K, T, X] -> [B K, H/K T or T, X] */
const perGroup = ({ tf }: Ops, x: Tensor, { sequences, keyValueHeads }: Groups): Tensor =>
  tf.reshape(x, [sequences * keyValueHeads, -1, sizeOf(x, -1)]);

/** [B K, H/K T, X] -> [B, H, T, X] */
const perHead = ({ tf }: Ops, x: Tensor, { sequences, heads, length }: Groups): Tensor =>
  tf.reshape(x, [sequences, heads, length, sizeOf(x, -1)]);
