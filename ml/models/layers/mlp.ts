import type { Tensor } from "@tensorflow/tfjs";
import { drop } from "./dropout.ts";
import type { Activation } from "./gelu.ts";
import { type Branch, mergedGradients, type Pass } from "./layer.ts";
import type { Linear } from "./linear.ts";
import { swiglu, swigluWithSlopes } from "./swiglu.ts";

export type MlpLayers = {
  readonly input: Linear;
  readonly output: Linear;
  readonly activation: Activation;
  /** The name of the dropout mask of the result. */
  readonly dropout: string;
};

/** output(activation(input(x))). The activation, which is cheap, is computed once more in the backward pass. */
export function mlp(pass: Pass, layers: MlpLayers): Branch<{ hidden: Tensor }> {
  const { ops, dropout } = pass;
  const { input, output, activation } = layers;
  return {
    forward: (x) =>
      ops.tf.tidy(() => {
        const hidden = input.forward(pass, x);
        const y = output.forward(pass, activation.forward(ops, hidden));
        return { y: drop(ops, y, layers.dropout, dropout), saved: { hidden } };
      }),
    backward: (dy, { hidden }, x) =>
      ops.tf.tidy(() => {
        const { y: active, slope } = activation.withSlope(ops, hidden);
        const outer = output.backward(pass, drop(ops, dy, layers.dropout, dropout), active);
        const dHidden = ops.tf.mul(outer.dx, slope);
        const inner = input.backward(pass, dHidden, x());
        return { dx: [inner.dx], gradient: mergedGradients([outer, inner]) };
      }),
  };
}

export type GatedMlpLayers = { readonly gate: Linear; readonly up: Linear; readonly output: Linear };

/** output(silu(gate(x)) * up(x)). Source: Shazeer 2020, eq. 6. */
export function gatedMlp(pass: Pass, layers: GatedMlpLayers): Branch<{ gate: Tensor; up: Tensor }> {
  const { ops } = pass;
  return {
    forward: (x) =>
      ops.tf.tidy(() => {
        const gate = layers.gate.forward(pass, x);
        const up = layers.up.forward(pass, x);
        return { y: layers.output.forward(pass, swiglu(ops, gate, up)), saved: { gate, up } };
      }),
    backward: (dy, saved, x) =>
      ops.tf.tidy(() => {
        const { y: active, byGate, byUp } = swigluWithSlopes(ops, saved.gate, saved.up);
        const outer = layers.output.backward(pass, dy, active);
        const [dGate, dUp] = [ops.tf.mul(outer.dx, byGate), ops.tf.mul(outer.dx, byUp)];
        const input = x();
        const gate = layers.gate.backward(pass, dGate, input);
        const up = layers.up.backward(pass, dUp, input);
        return { dx: [gate.dx, up.dx], gradient: mergedGradients([outer, gate, up]) };
      }),
  };
}
