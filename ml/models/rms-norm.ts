import type { Tensor } from "@tensorflow/tfjs";
import { columnSums, type Ops } from "./ops.ts";

export type RmsNorm = {
  /** [N, C] */
  readonly y: Tensor;
  /** x with a mean square of 1 in each row, [N, C]. */
  readonly normalized: Tensor;
  /** 1 / sqrt(mean square + epsilon), [N, 1]. */
  readonly inverse: Tensor;
};

/** Root mean square normalization over columns with gain [C]. Source: Zhang, Sennrich 2019, eq. 4. */
export function rmsNorm({ tf }: Ops, x: Tensor, gain: Tensor, epsilon: number): RmsNorm {
  return tf.tidy(() => {
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
    const normalized = tf.mul(x, inverse);
    return { y: tf.mul(normalized, gain), normalized, inverse };
  });
}

export function rmsNormBackward(ops: Ops, dy: Tensor, norm: Omit<RmsNorm, "y">, gain: Tensor) {
  const { tf } = ops;
  const { normalized, inverse } = norm;
  return tf.tidy(() => {
    const d = tf.mul(dy, gain);
    // The part along `normalized` only changes the length of x, which the norm takes away.
    const along = tf.mean(tf.mul(d, normalized), -1, true);
    const dx = tf.mul(tf.sub(d, tf.mul(normalized, along)), inverse);
    return { dx, dGain: columnSums(ops, tf.mul(dy, normalized)) };
  });
}
