import type { Tensor, TensorContainer } from "@tensorflow/tfjs";
import type { Block } from "./blocks.ts";
import { type Backward, type Branch, mergedGradients, type Pass } from "./layer.ts";
import type { Norm, Normalized } from "./norm.ts";
import { sum } from "./ops.ts";

/** A branch with its norm, before or after it. */
export type Residual = { readonly norm: Norm; readonly branch: Branch };

type Saved = { norm: Normalized; branch: TensorContainer };

/** A block of residual layers x + branch(norm(x)), as in GPT-2 and Llama. */
export function preNormBlock(pass: Pass, attention: Residual, mlp: Residual): Block {
  return blockOf(pass, {
    forward: (x) => {
      const first = preNormForward(pass, attention, x);
      const second = preNormForward(pass, mlp, first.y);
      return { y: second.y, saved: { attention: first.saved, mlp: second.saved } };
    },
    backward: (dy, saved: { attention: Saved; mlp: Saved }) => {
      const second = preNormBackward(pass, mlp, dy, saved.mlp);
      const first = preNormBackward(pass, attention, second.dx, saved.attention);
      return { dx: first.dx, gradient: mergedGradients([first, second]) };
    },
  });
}

/** A block of residual layers norm(x + branch(x)), as in BERT. What it saves has its input. */
export function postNormBlock(pass: Pass, attention: Residual, mlp: Residual): Block {
  return blockOf(pass, {
    forward: (x) => {
      const first = postNormForward(pass, attention, x);
      const second = postNormForward(pass, mlp, first.y);
      return { y: second.y, saved: { x, attention: first.saved, mlp: second.saved } };
    },
    backward: (dy, saved: { x: Tensor; attention: Saved; mlp: Saved }) => {
      const between = () => attention.norm.output(pass, saved.attention.norm);
      const second = postNormBackward(pass, mlp, dy, saved.mlp, between);
      const first = postNormBackward(pass, attention, second.dx, saved.attention, () => saved.x);
      return { dx: first.dx, gradient: mergedGradients([first, second]) };
    },
  });
}

/** The block with its functions tidied. */
const blockOf = <S extends TensorContainer>({ ops: { tf } }: Pass, block: Block<S>): Block<S> => ({
  forward: (x) => tf.tidy(() => block.forward(x)),
  backward: (dy, saved) => tf.tidy(() => block.backward(dy, saved)),
});

function preNormForward(pass: Pass, { norm, branch }: Residual, x: Tensor): { y: Tensor; saved: Saved } {
  const { tf } = pass.ops;
  return tf.tidy(() => {
    const input = norm.forward(pass, x);
    const { y, saved } = branch.forward(input.y);
    return { y: tf.add(x, y), saved: { norm: input.saved, branch: saved } };
  });
}

function preNormBackward(pass: Pass, { norm, branch }: Residual, dy: Tensor, saved: Saved): Backward {
  const { ops } = pass;
  return ops.tf.tidy(() => {
    const inner = branch.backward(dy, saved.branch, () => norm.output(pass, saved.norm));
    const outer = norm.backward(pass, sum(ops, inner.dx), saved.norm);
    return { dx: ops.tf.add(dy, outer.dx), gradient: mergedGradients([inner, outer]) };
  });
}

function postNormForward(pass: Pass, { norm, branch }: Residual, x: Tensor): { y: Tensor; saved: Saved } {
  const { tf } = pass.ops;
  return tf.tidy(() => {
    const inner = branch.forward(x);
    const { y, saved } = norm.forward(pass, tf.add(x, inner.y));
    return { y, saved: { norm: saved, branch: inner.saved } };
  });
}

function postNormBackward(
  pass: Pass,
  { norm, branch }: Residual,
  dy: Tensor,
  saved: Saved,
  input: () => Tensor,
): Backward {
  const { ops } = pass;
  return ops.tf.tidy(() => {
    const outer = norm.backward(pass, dy, saved.norm);
    const inner = branch.backward(outer.dx, saved.branch, input);
    return { dx: sum(ops, [outer.dx, ...inner.dx]), gradient: mergedGradients([outer, inner]) };
  });
}
