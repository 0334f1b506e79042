import type { Tensor } from "@tensorflow/tfjs";
import type { Ops } from "./ops.ts";

/** GELU in its exact form ("gelu"): x times the normal distribution's Φ(x). Source: Hendrycks, Gimpel 2016, eq. 1. */
export function geluErf({ tf }: Ops, x: Tensor): Tensor {
  return tf.tidy(() => tf.mul(x, normalBelow(tf, x)));
}

/** The same with its slope: a backward pass needs both, and they share most of their work. */
export function geluErfWithSlope({ tf }: Ops, x: Tensor): { y: Tensor; slope: Tensor } {
  return tf.tidy(() => {
    const below = normalBelow(tf, x);
    const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return { y: tf.mul(x, below), slope: tf.add(below, tf.mul(x, density)) };
  });
}

/** Φ(x) = (1 + erf(x / sqrt(2))) / 2 */
const normalBelow = (tf: Ops["tf"], x: Tensor): Tensor =>
  tf.add(tf.mul(tf.erf(tf.mul(x, Math.SQRT1_2)), 0.5), 0.5);
