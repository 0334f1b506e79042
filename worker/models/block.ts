import type { Tensor } from "@tensorflow/tfjs";
import { attention, attentionBackward, type Heads } from "./attention.ts";
import { type Tensors, tensorOf } from "./model.ts";
import { gelu, geluBackward, type Kit, layerNorm, layerNormBackward, linear, linearBackward } from "./ops.ts";

/** One transformer block of GPT-2: x + attention(norm(x)), then x + mlp(norm(x)). */
export type BlockShape = Heads & { readonly epsilon: number };

/** What the backward pass needs of the forward pass; cheap results are computed again rather than kept. */
export type Saved = {
  readonly normalized1: Tensor;
  readonly inverse1: Tensor;
  readonly qkv: Tensor;
  readonly attended: Tensor;
  readonly weights: Tensor;
  readonly normalized2: Tensor;
  readonly inverse2: Tensor;
  readonly hidden: Tensor;
};

/** [B T, C] -> [B T, C]. `prefix` is the block's in parameter names, as `transformer.h.0`. */
export function block(kit: Kit, theta: Tensors, prefix: string, x: Tensor, mask: Tensor, shape: BlockShape) {
  const { tf } = kit;
  const of = (name: string) => tensorOf(theta, `${prefix}.${name}`);
  const project = (name: string, input: Tensor) =>
    linear(kit, input, of(`${name}.weight`), of(`${name}.bias`));
  const norm = (name: string, input: Tensor) =>
    layerNorm(kit, input, of(`${name}.weight`), of(`${name}.bias`), shape.epsilon);
  return tf.tidy(() => {
    const norm1 = norm("ln_1", x);
    const qkv = project("attn.c_attn", norm1.y);
    const { y: attended, weights } = attention(kit, qkv, mask, shape);
    const middle = tf.add(x, project("attn.c_proj", attended));
    const norm2 = norm("ln_2", middle);
    const hidden = project("mlp.c_fc", norm2.y);
    const y = tf.add(middle, project("mlp.c_proj", gelu(kit, hidden)));
    const { normalized: normalized1, inverse: inverse1 } = norm1;
    const { normalized: normalized2, inverse: inverse2 } = norm2;
    const saved = { normalized1, inverse1, qkv, attended, weights, normalized2, inverse2, hidden };
    return { y, saved };
  });
}

/** The gradients of a block for its input and, by full name, for its parameters. */
export function blockBackward(
  kit: Kit,
  theta: Tensors,
  prefix: string,
  dy: Tensor,
  saved: Saved,
  shape: BlockShape,
): { dx: Tensor; gradient: Record<string, Tensor> } {
  const { tf } = kit;
  return tf.tidy(() => {
    const gradient: Record<string, Tensor> = {};
    const back = backward(kit, theta, prefix, gradient);
    const { normalized1, inverse1, normalized2, inverse2, hidden } = saved;
    const norm1 = { normalized: normalized1, inverse: inverse1 };
    const norm2 = { normalized: normalized2, inverse: inverse2 };
    const dActivated = back.project("mlp.c_proj", dy, gelu(kit, hidden));
    const dHidden = geluBackward(kit, dActivated, hidden);
    const dNorm2 = back.project("mlp.c_fc", dHidden, back.normOutput("ln_2", norm2.normalized));
    const dMiddle = tf.add(dy, back.norm("ln_2", dNorm2, norm2));
    const dAttended = back.project("attn.c_proj", dMiddle, saved.attended);
    const dQkv = attentionBackward(kit, dAttended, saved.qkv, saved.weights, shape);
    const dNorm1 = back.project("attn.c_attn", dQkv, back.normOutput("ln_1", norm1.normalized));
    const dx = tf.add(dMiddle, back.norm("ln_1", dNorm1, norm1));
    return { dx, gradient };
  });
}

/** Backward steps that put the gradients of their parameters into `gradient` and return that of their input. */
function backward(kit: Kit, theta: Tensors, prefix: string, gradient: Record<string, Tensor>) {
  const of = (name: string) => tensorOf(theta, `${prefix}.${name}`);
  return {
    project(name: string, dy: Tensor, x: Tensor): Tensor {
      const { dx, dWeight, dBias } = linearBackward(kit, dy, x, of(`${name}.weight`));
      gradient[`${prefix}.${name}.weight`] = dWeight;
      gradient[`${prefix}.${name}.bias`] = dBias;
      return dx;
    },
    norm(name: string, dy: Tensor, norm: { normalized: Tensor; inverse: Tensor }): Tensor {
      const { dx, dGain, dBias } = layerNormBackward(kit, dy, norm, of(`${name}.weight`));
      gradient[`${prefix}.${name}.weight`] = dGain;
      gradient[`${prefix}.${name}.bias`] = dBias;
      return dx;
    },
    normOutput: (name: string, normalized: Tensor): Tensor =>
      kit.tf.tidy(() => kit.tf.add(kit.tf.mul(normalized, of(`${name}.weight`)), of(`${name}.bias`))),
  };
}
