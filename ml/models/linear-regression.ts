import type { Scalar, Tensor, Tensor2D } from "@tensorflow/tfjs";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import { jsonText } from "./config.ts";
import { type Ops, transposedTimes } from "./layers/ops.ts";
import { type LossAndGradient, type ModelParameter, type Tensors, tensorOf } from "./model.ts";

/** One weight matrix: y = x w, and as loss the mean square of its errors over all rows and outputs. */
export type LinearRegression = Omit<Extract<ModelSpec, { type: "linear" }>, "type">;

const WEIGHT = "w";

export const regressionParameters = ({ inputs, outputs }: LinearRegression): ModelParameter[] => [
  { name: WEIGHT, shape: [inputs, outputs], init: { type: "zeros" } },
];

export const regressionFiles = ({ inputs, outputs }: LinearRegression): Record<string, string> => ({
  "config.json": jsonText({ model_type: "linear", inputs, outputs, torch_dtype: "float32" }),
});

export function regressionLoss({ tf }: Ops, theta: Tensors, x: Tensor, y: Tensor): Scalar {
  return tf.tidy(() => tf.mean(tf.square(errors(tf, theta, x, y))) as Scalar);
}

export function regressionLossAndGradient(ops: Ops, theta: Tensors, x: Tensor, y: Tensor): LossAndGradient {
  const { tf } = ops;
  return tf.tidy(() => {
    const e = errors(tf, theta, x, y);
    const dWeight = transposedTimes(ops, x, tf.mul(e, 2 / e.size));
    return { loss: tf.mean(tf.square(e)) as Scalar, gradient: { [WEIGHT]: dWeight } };
  });
}

const errors = (tf: Ops["tf"], theta: Tensors, x: Tensor, y: Tensor): Tensor =>
  tf.sub(tf.matMul(x as Tensor2D, tensorOf(theta, WEIGHT) as Tensor2D), y);
