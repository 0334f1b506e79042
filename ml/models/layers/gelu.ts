import type { Tensor } from "@tensorflow/tfjs";
import type { Ops } from "./ops.ts";

/** A function of each element. */
export type Activation = {
  forward(ops: Ops, x: Tensor): Tensor;
  /** The same with its slope: a backward pass needs both, and they share most of their work. */
  withSlope(ops: Ops, x: Tensor): { y: Tensor; slope: Tensor };
};

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** GELU in the tanh form of GPT-2 ("gelu_new"). Source: Hendrycks, Gimpel 2016, section 2. */
export const geluTanh: Activation = {
  forward: (ops, x) => ops.tf.tidy(() => ops.tf.mul(x, tanhShare(ops, x, ops.tf.square(x)))),

  withSlope(ops, x) {
    const { tf } = ops;
    return tf.tidy(() => {
      const square = tf.square(x);
      const share = tanhShare(ops, x, square);
      const y = tf.mul(x, share);
      const inner = tf.add(tf.mul(square, 6 * CUBIC * SQRT_2_OVER_PI), 2 * SQRT_2_OVER_PI);
      return { y, slope: tf.add(share, tf.mul(tf.mul(y, tf.sub(1, share)), inner)) };
    });
  },
};

/** The share of x that GELU lets through, from 0 to 1: (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))) / 2. */
function tanhShare({ tf }: Ops, x: Tensor, square: Tensor): Tensor {
  const inner = tf.mul(tf.add(tf.mul(square, CUBIC * SQRT_2_OVER_PI), SQRT_2_OVER_PI), x);
  return tf.mul(tf.add(tf.tanh(inner), 1), 0.5);
}

/** GELU in its exact form ("gelu"): x times the normal distribution's Φ(x). Source: Hendrycks, Gimpel 2016, eq. 1. */
export const geluErf: Activation = {
  forward: (ops, x) => ops.tf.tidy(() => ops.tf.mul(x, normalBelow(ops, x))),

  withSlope(ops, x) {
    const { tf } = ops;
    return tf.tidy(() => {
      const below = normalBelow(ops, x);
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return { y: tf.mul(x, below), slope: tf.add(below, tf.mul(x, density)) };
    });
  },
};

/** Φ(x) = (1 + erf(x / sqrt(2))) / 2 */
const normalBelow = ({ tf }: Ops, x: Tensor): Tensor =>
  tf.add(tf.mul(tf.erf(tf.mul(x, Math.SQRT1_2)), 0.5), 0.5);
