import type { Tensor, TensorContainer } from "@tensorflow/tfjs";
import type { Tensors } from "../model.ts";
import type { Dropout } from "./dropout.ts";
import type { Ops } from "./ops.ts";

/** One computation of a model: its operations, all parameters and, in training, dropout. */
export type Pass = {
  readonly ops: Ops;
  readonly theta: Tensors;
  readonly dropout?: Dropout | undefined;
};

/** The gradient of the input, and those of the parameters by their full names. */
export type Backward = { dx: Tensor; gradient: Record<string, Tensor> };

/**
 * The changing part of a residual layer, from [N, C] to [N, C], as attention or an MLP. `saved` is what the backward
 * pass needs.
 */
export type Branch<Saved extends TensorContainer = TensorContainer> = {
  forward(x: Tensor): { y: Tensor; saved: Saved };
  /**
   * Returns the parts that add up to the gradient of the input.
   *
   * @param input makes the input of `forward` once more
   */
  backward(
    dy: Tensor,
    saved: Saved,
    input: () => Tensor,
  ): { dx: [Tensor, ...Tensor[]]; gradient: Record<string, Tensor> };
};

/** The gradients of parts that share no parameter. */
export const mergedGradients = (parts: readonly Pick<Backward, "gradient">[]): Record<string, Tensor> =>
  Object.assign({}, ...parts.map(({ gradient }) => gradient));

/** The gradients of several parts; those of a parameter that two parts share are added. */
export function addedGradients(
  { tf }: Ops,
  parts: readonly Record<string, Tensor>[],
): Record<string, Tensor> {
  const all: Record<string, Tensor> = {};
  for (const [name, gradient] of parts.flatMap((part) => Object.entries(part))) {
    const other = all[name];
    all[name] = other ? tf.add(other, gradient) : gradient;
  }
  return all;
}
