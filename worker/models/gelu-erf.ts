import type { Tensor } from "@tensorflow/tfjs";
import type { Kit } from "./ops.ts";

/** GELU in its exact form ("gelu"): x times the normal distribution's Φ(x). Source: Hendrycks, Gimpel 2016, eq. 1. */
export function geluErf({ tf }: Kit, x: Tensor): Tensor {
  return tf.tidy(() => tf.mul(x, normalBelow(tf, x)));
}

export function geluErfBackward({ tf }: Kit, dy: Tensor, x: Tensor): Tensor {
  return tf.tidy(() => {
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return tf.mul(dy, tf.add(normalBelow(tf, x), tf.mul(x, density)));
  });
}

/** Φ(x) = (1 + erf(x / sqrt(2))) / 2 */
const normalBelow = (tf: Kit["tf"], x: Tensor): Tensor =>
  tf.add(tf.mul(tf.erf(tf.mul(x, Math.SQRT1_2)), 0.5), 0.5);
