import type { Tensor } from "@tensorflow/tfjs";
import type { NormParameters } from "../decoder-shape.ts";
import { type ModelParameter, type Tensors, tensorOf } from "../model.ts";
import type { Backward, Pass } from "./layer.ts";
import { columnSums, rowMeans } from "./ops.ts";

/** Normalizes rows, from [N, C] to [N, C], then multiplies with a gain [C] and may add a bias [C]. */
export type Norm = {
  readonly names: NormParameters;
  /** The layer's parameters: a gain of ones and a bias of zeros. */
  parameters(width: number): ModelParameter[];
  forward(pass: Pass, x: Tensor): { y: Tensor; saved: Normalized };
  /** The output of `forward` once more. */
  output(pass: Pass, saved: Normalized): Tensor;
  backward(pass: Pass, dy: Tensor, saved: Normalized): Backward;
};

export type Normalized = {
  /** The input's rows, normalized, [N, C]. */
  normalized: Tensor;
  /** The factor of each row, [N, 1]. */
  inverse: Tensor;
};

/**
 * Layer normalization. Source: Ba, Kiros, Hinton 2016, eq. 4.
 *
 * @param name begins the names of the layer's parameters, NAME.weight and NAME.bias
 */
export function layerNorm(name: string, epsilon: number): Norm {
  const names = { gain: `${name}.weight`, bias: `${name}.bias`, epsilon };
  const tensorsOf = (theta: Tensors) => ({
    gain: tensorOf(theta, names.gain),
    bias: tensorOf(theta, names.bias),
  });
  return {
    names,
    parameters: (width) => [ones(names.gain, width), zeros(names.bias, width)],

    forward({ ops, theta }, x) {
      const { tf } = ops;
      const { gain, bias } = tensorsOf(theta);
      return tf.tidy(() => {
        const centred = tf.sub(x, rowMeans(ops, x));
        const inverse = tf.rsqrt(tf.add(rowMeans(ops, tf.square(centred)), epsilon));
        const normalized = tf.mul(centred, inverse);
        return { y: tf.add(tf.mul(normalized, gain), bias), saved: { normalized, inverse } };
      });
    },

    output({ ops: { tf }, theta }, { normalized }) {
      const { gain, bias } = tensorsOf(theta);
      return tf.tidy(() => tf.add(tf.mul(normalized, gain), bias));
    },

    backward({ ops, theta }, dy, { normalized, inverse }) {
      const { tf } = ops;
      return tf.tidy(() => {
        const d = tf.mul(dy, tensorOf(theta, names.gain));
        // The mean and the part along `normalized` change with x as well: take both out.
        const alongX = tf.mul(normalized, rowMeans(ops, tf.mul(d, normalized)));
        const dx = tf.mul(tf.sub(tf.sub(d, rowMeans(ops, d)), alongX), inverse);
        const dGain = columnSums(ops, tf.mul(dy, normalized));
        return { dx, gradient: { [names.gain]: dGain, [names.bias]: columnSums(ops, dy) } };
      });
    },
  };
}

/**
 * Root mean square normalization. Source: Zhang, Sennrich 2019, eq. 4.
 *
 * @param name begins the name of the layer's parameter, NAME.weight
 */
export function rmsNorm(name: string, epsilon: number): Norm {
  const names = { gain: `${name}.weight`, bias: null, epsilon };
  return {
    names,
    parameters: (width) => [ones(names.gain, width)],

    forward({ ops: { tf }, theta }, x) {
      const gain = tensorOf(theta, names.gain);
      return tf.tidy(() => {
        const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
        const normalized = tf.mul(x, inverse);
        return { y: tf.mul(normalized, gain), saved: { normalized, inverse } };
      });
    },

    output: ({ ops: { tf }, theta }, { normalized }) => tf.mul(normalized, tensorOf(theta, names.gain)),

    backward({ ops, theta }, dy, { normalized, inverse }) {
      const { tf } = ops;
      return tf.tidy(() => {
        const d = tf.mul(dy, tensorOf(theta, names.gain));
        // The part along `normalized` only changes the length of x, which the norm takes away.
        const along = tf.mean(tf.mul(d, normalized), -1, true);
        const dx = tf.mul(tf.sub(d, tf.mul(normalized, along)), inverse);
        return { dx, gradient: { [names.gain]: columnSums(ops, tf.mul(dy, normalized)) } };
      });
    },
  };
}

const ones = (name: string, width: number): ModelParameter => ({
  name,
  shape: [width],
  init: { type: "ones" },
});

const zeros = (name: string, width: number): ModelParameter => ({
  name,
  shape: [width],
  init: { type: "zeros" },
});
