import type { Tensor } from "@tensorflow/tfjs";
import { Bug } from "../../../protocol/errors.ts";
import { fillBits } from "../../random/bits.ts";
import type { Heads } from "./attention.ts";
import type { Ops } from "./ops.ts";

/**
 * Dropout (Srivastava et al. 2014) with masks drawn beforehand: which elements stay is a pure function of the seed,
 * the step, the rank, the micro-batch and the mask's number in the model, and the same on every backend.
 */
export type Dropout = {
  /** Multiplies the elements that stay, so that the mean stays. */
  readonly scale: number;
  /** By name: true where an element stays. */
  readonly masks: Readonly<Record<string, Tensor>>;
};

/** The masks of a model by name, each with its shape. Their order numbers them. */
export type MaskShapes = Readonly<Record<string, readonly number[]>>;

/** The micro-batch that masks are drawn for. */
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
export function drawDropout({ tf }: Ops, rate: number, shapes: MaskShapes, draw: DropoutDraw): Dropout {
  const kept = Math.max(1, Math.round((1 - rate) * 65_536));
  const { seed, step, rank, micro } = draw;
  const masks = Object.entries(shapes).map(([name, shape], i) => {
    const bits = new Uint8Array(shape.reduce((product, n) => product * n, 1));
    // 2^16 masks, 2^16 micro-batches: more than memory or time allow.
    const number = ((micro & 0xffff) << 16) | (i & 0xffff);
    fillBits(bits, kept, { seed, purpose: "dropout", indices: [step, rank, number] });
    return [name, tf.tensor(bits, [...shape], "bool")] as const;
  });
  return { scale: 65_536 / kept, masks: Object.fromEntries(masks) };
}

/** The names of a block's masks: of attention weights, of the attention's result and of the MLP's. */
export const dropoutNames = (block: string) => ({
  attention: { weights: `${block}.weights`, output: `${block}.attention` },
  mlp: `${block}.mlp`,
});

/** The masks of a block, for B sequences of T tokens. */
export function blockMasks(
  block: string,
  { sequences, length, heads, width }: Heads & { readonly width: number },
): MaskShapes {
  const { attention, mlp } = dropoutNames(block);
  return {
    [attention.weights]: [sequences, heads, length, length],
    [attention.output]: [sequences * length, width],
    [mlp]: [sequences * length, width],
  };
}

/** Leaves out the elements of `x` that a mask leaves out; without dropout `x` itself. Its own backward function. */
export function drop({ tf }: Ops, x: Tensor, name: string, dropout: Dropout | undefined): Tensor {
  if (!dropout) return x;
  const mask = dropout.masks[name];
  if (!mask) throw new Bug(`there is no dropout mask ${name}`);
  return tf.tidy(() => tf.mul(tf.mul(x, dropout.scale), tf.cast(tf.reshape(mask, x.shape), "float32")));
}
