import type { Tensor } from "@tensorflow/tfjs";
import { fillBits } from "../random/bits.ts";
import type { Ops } from "./ops.ts";

/**
 * Dropout (Srivastava et al. 2014) with masks drawn beforehand: which elements stay is a pure function of the seed,
 * the step, the rank, the micro-batch and the place in the model, and the same on every backend.
 */
export type Dropout = {
  /** What elements that stay are multiplied by, so that the mean stays. */
  readonly scale: number;
  /** By the name of a place: true where an element stays. */
  readonly masks: Readonly<Record<string, Tensor>>;
};

/** Where a family drops what: names of places, each with the shape of what passes there. */
export type DropoutPlaces = Readonly<Record<string, readonly number[]>>;

/** A mask's place in the course of a job. */
export type DropoutDraw = {
  readonly seed: number;
  readonly step: number;
  readonly rank: number;
  readonly micro: number;
};

/**
 * Draws the masks of one micro-batch; they are the caller's to dispose.
 *
 * @param rate share of elements left out, in [0, 1), rounded to a multiple of 1/65536
 */
export function drawDropout({ tf }: Ops, rate: number, places: DropoutPlaces, draw: DropoutDraw): Dropout {
  const kept = Math.max(1, Math.round((1 - rate) * 65_536));
  const { seed, step, rank, micro } = draw;
  const masks = Object.entries(places).map(([name, shape], place) => {
    const bits = new Uint8Array(shape.reduce((product, n) => product * n, 1));
    // 2^16 places, 2^16 micro-batches: more than memory or patience allow.
    const where = ((micro & 0xffff) << 16) | (place & 0xffff);
    fillBits(bits, kept, { seed, purpose: "dropout", indices: [step, rank, where] });
    return [name, tf.tensor(bits, [...shape], "bool")] as const;
  });
  return { scale: 65_536 / kept, masks: Object.fromEntries(masks) };
}

/** `x` with the elements of a place left out; without dropout `x` itself. Its own backward function. */
export function drop({ tf }: Ops, x: Tensor, place: string, dropout: Dropout | undefined): Tensor {
  if (!dropout) return x;
  const mask = dropout.masks[place];
  if (!mask) throw new Error(`there is no dropout mask for ${place}`);
  return tf.tidy(() => tf.mul(tf.mul(x, dropout.scale), tf.cast(tf.reshape(mask, x.shape), "float32")));
}
