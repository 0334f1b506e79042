import type { Tensor } from "@tensorflow/tfjs";
import { attention, attentionBackward, type Heads } from "./attention.ts";
import { type Backward, type Block, mergedGradients } from "./blocks.ts";
import { type Dropout, type DropoutPlaces, drop as dropAt } from "./dropout.ts";
import { type Tensors, tensorOf } from "./model.ts";
import * as op from "./ops.ts";

/**
 * One transformer block of GPT-2: x + attention(norm(x)), then x + mlp(norm(x)), from [B T, C] to [B T, C].
 * The forward functions return what their backward functions need of them, as `saved`; what is cheap to compute
 * again is not kept. A block frees each half's intermediate results before it starts the next.
 */
export type BlockShape = Heads & { readonly epsilon: number };

/** Where a block's parameters are: `prefix` begins their names, as `transformer.h.0`. */
export type BlockPlace = {
  readonly ops: op.Ops;
  readonly theta: Tensors;
  readonly prefix: string;
  readonly dropout: Dropout | undefined;
};

/** The places of dropout in a block. */
export const blockDropout = (
  prefix: string,
  { sequences, length, heads }: Heads,
  width: number,
): DropoutPlaces => ({
  [`${prefix}.weights`]: [sequences, heads, length, length],
  [`${prefix}.attention`]: [sequences * length, width],
  [`${prefix}.mlp`]: [sequences * length, width],
});

const drop = (
  { ops, prefix, dropout }: BlockPlace,
  name: "weights" | "attention" | "mlp",
  x: Tensor,
): Tensor => dropAt(ops, x, `${prefix}.${name}`, dropout);

type Normalized = { normalized: Tensor; inverse: Tensor };
type SavedAttention = { norm: Normalized; qkv: Tensor; attended: Tensor };
type SavedMlp = { norm: Normalized; hidden: Tensor };
type SavedBlock = { attention: SavedAttention; mlp: SavedMlp };

/** @param mask of `causalMask` */
export function gpt2Block(place: BlockPlace, mask: Tensor, shape: BlockShape): Block<SavedBlock> {
  const { tf } = place.ops;
  return {
    forward: (x) =>
      tf.tidy(() => {
        const first = attentionLayer(place, x, mask, shape);
        const second = mlpLayer(place, first.y, shape.epsilon);
        return { y: second.y, saved: { attention: first.saved, mlp: second.saved } };
      }),
    backward: (dy, saved) =>
      tf.tidy(() => {
        const second = mlpLayerBackward(place, dy, saved.mlp);
        const first = attentionLayerBackward(place, second.dx, saved.attention, mask, shape);
        return { dx: first.dx, gradient: mergedGradients([first, second]) };
      }),
  };
}

function attentionLayer(place: BlockPlace, x: Tensor, mask: Tensor, shape: BlockShape) {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const { y: input, ...norm } = normalize(place, "ln_1", x, shape.epsilon);
    const qkv = project(place, "attn.c_attn", input);
    const attended = attention(ops, qkv, mask, shape, (w) => drop(place, "weights", w));
    const y = ops.tf.add(x, drop(place, "attention", project(place, "attn.c_proj", attended)));
    return { y, saved: { norm, qkv, attended } };
  });
}

function attentionLayerBackward(
  place: BlockPlace,
  dy: Tensor,
  saved: SavedAttention,
  mask: Tensor,
  shape: BlockShape,
): Backward {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const output = projectBackward(place, "attn.c_proj", drop(place, "attention", dy), saved.attended);
    const dQkv = attentionBackward(ops, output.dx, saved, mask, shape, (w) => drop(place, "weights", w));
    const input = projectBackward(place, "attn.c_attn", dQkv, normalizedOutput(place, "ln_1", saved.norm));
    const norm = normalizeBackward(place, "ln_1", input.dx, saved.norm);
    return { dx: ops.tf.add(dy, norm.dx), gradient: mergedGradients([output, input, norm]) };
  });
}

function mlpLayer(place: BlockPlace, x: Tensor, epsilon: number) {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const { y: input, ...norm } = normalize(place, "ln_2", x, epsilon);
    const hidden = project(place, "mlp.c_fc", input);
    const y = ops.tf.add(x, drop(place, "mlp", project(place, "mlp.c_proj", op.gelu(ops, hidden))));
    return { y, saved: { norm, hidden } };
  });
}

function mlpLayerBackward(place: BlockPlace, dy: Tensor, saved: SavedMlp): Backward {
  const { ops } = place;
  return ops.tf.tidy(() => {
    const { y: active, slope } = op.geluWithSlope(ops, saved.hidden);
    const output = projectBackward(place, "mlp.c_proj", drop(place, "mlp", dy), active);
    const dHidden = ops.tf.mul(output.dx, slope);
    const input = projectBackward(place, "mlp.c_fc", dHidden, normalizedOutput(place, "ln_2", saved.norm));
    const norm = normalizeBackward(place, "ln_2", input.dx, saved.norm);
    return { dx: ops.tf.add(dy, norm.dx), gradient: mergedGradients([output, input, norm]) };
  });
}

const parameter = ({ theta, prefix }: BlockPlace, name: string): Tensor =>
  tensorOf(theta, `${prefix}.${name}`);

function project(place: BlockPlace, name: string, x: Tensor): Tensor {
  return op.linear(place.ops, x, parameter(place, `${name}.weight`), parameter(place, `${name}.bias`));
}

function projectBackward(place: BlockPlace, name: string, dy: Tensor, x: Tensor): Backward {
  const { dx, dWeight, dBias } = op.linearBackward(place.ops, dy, x, parameter(place, `${name}.weight`));
  return { dx, gradient: named(place, name, dWeight, dBias) };
}

function normalize(place: BlockPlace, name: string, x: Tensor, epsilon: number) {
  const [gain, bias] = [parameter(place, `${name}.weight`), parameter(place, `${name}.bias`)];
  return op.layerNorm(place.ops, x, gain, bias, epsilon);
}

function normalizeBackward(place: BlockPlace, name: string, dy: Tensor, norm: Normalized): Backward {
  const gain = parameter(place, `${name}.weight`);
  const { dx, dGain, dBias } = op.layerNormBackward(place.ops, dy, norm, gain);
  return { dx, gradient: named(place, name, dGain, dBias) };
}

/** The output of `normalize` once more. */
function normalizedOutput(place: BlockPlace, name: string, { normalized }: Normalized): Tensor {
  const { tf } = place.ops;
  const [gain, bias] = [parameter(place, `${name}.weight`), parameter(place, `${name}.bias`)];
  return tf.tidy(() => tf.add(tf.mul(normalized, gain), bias));
}

const named = ({ prefix }: BlockPlace, name: string, weight: Tensor, bias: Tensor) => ({
  [`${prefix}.${name}.weight`]: weight,
  [`${prefix}.${name}.bias`]: bias,
});
