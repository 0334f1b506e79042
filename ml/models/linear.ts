import type { Scalar, Tensor, Tensor2D } from "@tensorflow/tfjs";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import { type LossAndGradient, type ModelParameter, type Tensors, tensorOf } from "./model.ts";
import { type Ops, transposedTimes } from "./ops.ts";

/** One weight matrix: y = x w, and as loss the mean square of its errors over all rows and outputs. */
export type Linear = Omit<Extract<ModelSpec, { type: "linear" }>, "type">;

const WEIGHT = "w";

export const linearParameters = ({ inputs, outputs }: Linear): ModelParameter[] => [
  { name: WEIGHT, shape: [inputs, outputs], init: { type: "zeros" } },
];

export const linearFiles = ({ inputs, outputs }: Linear): Record<string, string> => ({
  "config.json": `${JSON.stringify({ model_type: "linear", inputs, outputs, torch_dtype: "float32" }, null, 2)}\n`,
});

export function linearLoss({ tf }: Ops, theta: Tensors, x: Tensor, y: Tensor): Scalar {
  return tf.tidy(() => tf.mean(tf.square(errors(tf, theta, x, y))) as Scalar);
}

export function linearLossAndGradient(ops: Ops, theta: Tensors, x: Tensor, y: Tensor): LossAndGradient {
  const { tf } = ops;
  return tf.tidy(() => {
    const e = errors(tf, theta, x, y);
    const dWeight = transposedTimes(ops, x, tf.mul(e, 2 / e.size));
    return { loss: tf.mean(tf.square(e)) as Scalar, gradient: { [WEIGHT]: dWeight } };
  });
}

const errors = (tf: Ops["tf"], theta: Tensors, x: Tensor, y: Tensor): Tensor =>
  tf.sub(tf.matMul(x as Tensor2D, tensorOf(theta, WEIGHT) as Tensor2D), y);
