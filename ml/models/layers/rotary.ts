import type { Tensor } from "@tensorflow/tfjs";
import { type Ops, sizeOf } from "./ops.ts";
import type { Preparation } from "./self-attention.ts";

/**
 * Rotary position embeddings: pairs of elements (i, i + D/2) of a head are rotated by an angle that grows with the
 * token's position. Source: Su et al. 2021, section 3.2.2, in the half-and-half order of Hugging Face's Llama.
 */
export type RotaryOptions = {
  /** Width of a head, even. */
  readonly headWidth: number;
  /** Base of the wavelengths; 10,000 in the paper. */
  readonly theta: number;
  readonly scaling: Llama3Scaling | null;
};

/** The stretch of long wavelengths for a longer context, as in Llama 3.1. */
export type Llama3Scaling = {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  /** Context of the training before the stretch, in tokens. */
  readonly originalContext: number;
};

/** Tables that rotate queries or keys by their positions; `sine` has the sign of its half, both [T, D]. */
export type Rotation = { readonly cosine: Tensor; readonly sine: Tensor };

/**
 * The rotation of positions `first` to `first + length - 1`.
 *
 * @param scale multiplies what is rotated, so that the queries' 1/sqrt(D) costs nothing
 */
export function rotationOf(
  { tf }: Ops,
  options: RotaryOptions,
  length: number,
  { first = 0, scale = 1 }: { readonly first?: number; readonly scale?: number } = {},
): Rotation {
  const { headWidth } = options;
  const frequencies = rotaryFrequencies(options);
  const half = headWidth / 2;
  const cosine = new Float32Array(length * headWidth);
  const sine = new Float32Array(length * headWidth);
  for (let t = 0; t < length; t++) {
    for (const [i, frequency] of frequencies.entries()) {
      // Single precision, as everyone has it: at far positions the rounding is part of the model.
      const angle = Math.fround((first + t) * frequency);
      const at = t * headWidth + i;
      cosine[at] = cosine[at + half] = scale * Math.cos(angle);
      sine[at] = -scale * Math.sin(angle);
      sine[at + half] = scale * Math.sin(angle);
    }
  }
  return {
    cosine: tf.tensor(cosine, [length, headWidth]),
    sine: tf.tensor(sine, [length, headWidth]),
  };
}

/**
 * Rotates queries or keys by their positions.
 *
 * @param scale multiplies what is rotated, so that the queries' 1/sqrt(D) costs nothing
 */
export function rotation(
  ops: Ops,
  options: RotaryOptions,
  length: number,
  { scale = 1 }: { readonly scale?: number } = {},
): Preparation {
  const tables = rotationOf(ops, options, length, { scale });
  return {
    forward: (x) => rotate(ops, x, tables),
    backward: (dy) => rotateBackward(ops, dy, tables),
  };
}

/** Rotates queries or keys, [B, H, T, D]. */
export function rotate({ tf }: Ops, x: Tensor, { cosine, sine }: Rotation): Tensor {
  return tf.tidy(() => tf.add(tf.mul(x, cosine), tf.mul(swapHalves(tf, x), sine)));
}

/** The gradient of the input of `rotate`: rotated back. */
export function rotateBackward({ tf }: Ops, dy: Tensor, { cosine, sine }: Rotation): Tensor {
  return tf.tidy(() => tf.sub(tf.mul(dy, cosine), tf.mul(swapHalves(tf, dy), sine)));
}

function swapHalves(tf: Ops["tf"], x: Tensor): Tensor {
  const width = sizeOf(x, -1);
  return tf.reshape(tf.reverse(tf.reshape(x, [-1, 2, width / 2]), 1), x.shape);
}

/** Angle per position of each pair, D/2 of them, in single precision. */
export function rotaryFrequencies({ headWidth, theta, scaling }: RotaryOptions): Float32Array {
  const frequencies = Float32Array.from({ length: headWidth / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headWidth))),
  );
  return scaling ? frequencies.map((frequency) => stretch(frequency, scaling)) : frequencies;
}

/** Long waves are stretched by the factor, short ones kept, those between blended. Source: Llama 3.1's release. */
function stretch(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  const turns = (originalContext * frequency) / (2 * Math.PI);
  if (turns > high) return frequency;
  if (turns < low) return frequency / factor;
  const blend = (turns - low) / (high - low);
  return ((1 - blend) * frequency) / factor + blend * frequency;
}
