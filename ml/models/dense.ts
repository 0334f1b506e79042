import type { Tensor } from "@tensorflow/tfjs";
import { columnSums, type Ops, timesTransposed, transposedTimes } from "./ops.ts";

/**
 * A linear layer with its weight the way PyTorch's `nn.Linear` keeps it, [O, I]: x wᵀ + b, from [N, I] to [N, O].
 * (GPT-2's weights are the other way round: `linear` in ops.ts.)
 */
export function dense(ops: Ops, x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const { tf } = ops;
  if (!bias) return timesTransposed(ops, x, weight);
  return tf.tidy(() => tf.add(timesTransposed(ops, x, weight), bias));
}

/** The gradients of a linear layer's input and weight. */
export function denseBackward({ tf, ...ops }: Ops, dy: Tensor, x: Tensor, weight: Tensor) {
  return { dx: tf.matMul(dy, weight), dWeight: transposedTimes({ tf, ...ops }, dy, x) };
}

/** The same with a bias. */
export function biasedBackward(ops: Ops, dy: Tensor, x: Tensor, weight: Tensor) {
  return { ...denseBackward(ops, dy, x, weight), dBias: columnSums(ops, dy) };
}
