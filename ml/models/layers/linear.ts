import type { Tensor } from "@tensorflow/tfjs";
import type { LinearParameters } from "../decoder-shape.ts";
import { type ModelParameter, tensorOf } from "../model.ts";
import type { Backward, Pass } from "./layer.ts";
import { columnSums, type Ops, timesTransposed, transposedTimes } from "./ops.ts";

/** x W + b, from [N, inputs] to [N, outputs]. */
export type Linear = {
  readonly names: LinearParameters;
  /** The layer's parameters: a weight from a normal distribution and a bias of zeros. */
  parameters(inputs: number, outputs: number, deviation: number): ModelParameter[];
  forward(pass: Pass, x: Tensor): Tensor;
  /** @param x the input of `forward` */
  backward(pass: Pass, dy: Tensor, x: Tensor): Backward;
};

export type LinearOptions = {
  readonly bias: boolean;
  /** True for a weight [inputs, outputs], as GPT-2 has them; false: [outputs, inputs], as PyTorch's `nn.Linear`. */
  readonly inputsFirst: boolean;
};

/** @param name begins the names of the layer's parameters, NAME.weight and NAME.bias */
export const linear = (name: string, { bias, inputsFirst }: LinearOptions): Linear =>
  linearOf({ weight: `${name}.weight`, bias: bias ? `${name}.bias` : null, inputsFirst });

/** The linear layer with parameters of these names. */
export function linearOf(names: LinearParameters): Linear {
  const { times, timesBackward } = names.inputsFirst ? INPUTS_FIRST : OUTPUTS_FIRST;
  return {
    names,

    parameters(inputs, outputs, deviation) {
      const shape = names.inputsFirst ? [inputs, outputs] : [outputs, inputs];
      const weight: ModelParameter = { name: names.weight, shape, init: { type: "normal", deviation } };
      if (names.bias === null) return [weight];
      return [weight, { name: names.bias, shape: [outputs], init: { type: "zeros" } }];
    },

    forward({ ops, theta }, x) {
      const weight = tensorOf(theta, names.weight);
      if (names.bias === null) return times(ops, x, weight);
      const bias = tensorOf(theta, names.bias);
      return ops.tf.tidy(() => ops.tf.add(times(ops, x, weight), bias));
    },

    backward({ ops, theta }, dy, x) {
      const { dx, dWeight } = timesBackward(ops, dy, x, tensorOf(theta, names.weight));
      const dBias = names.bias === null ? {} : { [names.bias]: columnSums(ops, dy) };
      return { dx, gradient: { [names.weight]: dWeight, ...dBias } };
    },
  };
}

/** The product of an input and a weight, and its gradients, for each way to store a weight. */
type Product = {
  times(ops: Ops, x: Tensor, weight: Tensor): Tensor;
  timesBackward(ops: Ops, dy: Tensor, x: Tensor, weight: Tensor): { dx: Tensor; dWeight: Tensor };
};

const INPUTS_FIRST: Product = {
  times: ({ tf }, x, weight) => tf.matMul(x, weight),
  timesBackward: (ops, dy, x, weight) => ({
    dx: timesTransposed(ops, dy, weight),
    dWeight: transposedTimes(ops, x, dy),
  }),
};

const OUTPUTS_FIRST: Product = {
  times: timesTransposed,
  timesBackward: (ops, dy, x, weight) => ({
    dx: ops.tf.matMul(dy, weight),
    dWeight: transposedTimes(ops, dy, x),
  }),
};
