import type { Tensor } from "@tensorflow/tfjs";
import { columnSums, type Kit, timesTransposed, transposedTimes } from "./ops.ts";

/**
 * A linear layer with its weight the way PyTorch's `nn.Linear` keeps it, [O, I]: x wᵀ + b, from [N, I] to [N, O].
 * (GPT-2's weights are the other way round: `linear` in ops.ts.)
 */
export function dense(kit: Kit, x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const { tf } = kit;
  if (!bias) return timesTransposed(kit, x, weight);
  return tf.tidy(() => tf.add(timesTransposed(kit, x, weight), bias));
}

/** The gradients of a linear layer's input and weight. */
export function denseBackward({ tf, ...kit }: Kit, dy: Tensor, x: Tensor, weight: Tensor) {
  return { dx: tf.matMul(dy, weight), dWeight: transposedTimes({ tf, ...kit }, dy, x) };
}

/** The same with a bias. */
export function biasedBackward(kit: Kit, dy: Tensor, x: Tensor, weight: Tensor) {
  return { ...denseBackward(kit, dy, x, weight), dBias: columnSums(kit, dy) };
}
