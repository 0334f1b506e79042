import type { Tensor } from "@tensorflow/tfjs";
import { type Backward, type Block, mergedGradients } from "./blocks.ts";
import { biasedBackward, dense } from "./dense.ts";
import { type Dropout, type DropoutPlaces, drop } from "./dropout.ts";
import { geluErf, geluErfWithSlope } from "./gelu-erf.ts";
import {
  type Groups,
  groupedAttention,
  groupedAttentionBackward,
  joinHeads,
  splitHeads,
} from "./grouped-attention.ts";
import { type Tensors, tensorOf } from "./model.ts";
import { type LayerNorm, layerNorm, layerNormBackward, type Ops } from "./ops.ts";

/**
 * One transformer block of BERT: norm(x + attention(x)), then norm(x + mlp(x)), from [B T, C] to [B T, C].
 * Forward functions return what their backward functions need as `saved`; what is cheap is computed again.
 */
export type BertPlace = {
  readonly ops: Ops;
  readonly theta: Tensors;
  /** Begins the names of the block's parameters, as `bert.encoder.layer.0`, and those of its dropout. */
  readonly prefix: string;
  readonly shape: Groups;
  readonly epsilon: number;
  /** [B, 1, 1, T]: a huge negative number for padding, 0 else; null without padding. */
  readonly mask: Tensor | null;
  readonly dropout: Dropout | undefined;
};

type Normalized = Omit<LayerNorm, "y">;
type SavedAttention = {
  q: Tensor;
  k: Tensor;
  v: Tensor;
  attended: Tensor;
  norm: Normalized;
};
type SavedMlp = { hidden: Tensor; norm: Normalized };
type SavedBertBlock = { x: Tensor; attention: SavedAttention; mlp: SavedMlp };

/** The places of dropout in a block. */
export const bertBlockDropout = (
  prefix: string,
  { sequences, length, heads }: Groups,
  width: number,
): DropoutPlaces => ({
  [`${prefix}.weights`]: [sequences, heads, length, length],
  [`${prefix}.attention`]: [sequences * length, width],
  [`${prefix}.mlp`]: [sequences * length, width],
});

/** What it saves has its input. */
export function bertBlock(place: BertPlace): Block<SavedBertBlock> {
  const { tf } = place.ops;
  return {
    forward: (x) =>
      tf.tidy(() => {
        const first = attentionLayer(place, x);
        const second = mlpLayer(place, first.y);
        return { y: second.y, saved: { x, attention: first.saved, mlp: second.saved } };
      }),
    backward: (dy, saved) =>
      tf.tidy(() => {
        const second = mlpLayerBackward(place, dy, saved);
        const first = attentionLayerBackward(place, second.dx, saved);
        return { dx: first.dx, gradient: mergedGradients([first, second]) };
      }),
  };
}

const dropWeights =
  ({ ops, prefix, dropout }: BertPlace) =>
  (weights: Tensor) =>
    drop(ops, weights, `${prefix}.weights`, dropout);

function attentionLayer(place: BertPlace, x: Tensor) {
  const { ops, shape, prefix, dropout } = place;
  return ops.tf.tidy(() => {
    const split = (name: string) =>
      splitHeads(ops, project(place, `attention.self.${name}`, x), shape, shape.heads);
    const [q, k, v] = [ops.tf.mul(split("query"), scaleOf(x, shape)), split("key"), split("value")];
    const attended = groupedAttention(ops, { q, k, v }, place.mask, shape, dropWeights(place));
    const output = project(place, "attention.output.dense", attended);
    const sum = ops.tf.add(x, drop(ops, output, `${prefix}.attention`, dropout));
    const { y, ...norm } = normalize(place, "attention.output.LayerNorm", sum);
    return { y, saved: { q, k, v, attended, norm } };
  });
}

function attentionLayerBackward(
  place: BertPlace,
  dy: Tensor,
  { x, attention: saved }: SavedBertBlock,
): Backward {
  const { ops, shape, prefix, dropout } = place;
  const { tf } = ops;
  return tf.tidy(() => {
    const norm = normalizeBackward(place, "attention.output.LayerNorm", dy, saved.norm);
    const dOutput = drop(ops, norm.dx, `${prefix}.attention`, dropout);
    const output = projectBackward(place, "attention.output.dense", dOutput, saved.attended);
    const { dq, dk, dv } = groupedAttentionBackward(
      ops,
      output.dx,
      saved,
      place.mask,
      shape,
      dropWeights(place),
    );
    const parts = Object.entries({ query: tf.mul(dq, scaleOf(x, shape)), key: dk, value: dv }).map(
      ([name, d]) => projectBackward(place, `attention.self.${name}`, joinHeads(ops, d, shape), x),
    );
    const dx = tf.addN([norm.dx, ...parts.map((part) => part.dx)]);
    return { dx, gradient: mergedGradients([norm, output, ...parts]) };
  });
}

const scaleOf = (x: Tensor, { heads }: Groups): number => 1 / Math.sqrt((x.shape.at(-1) ?? 1) / heads);

function mlpLayer(place: BertPlace, x: Tensor) {
  const { ops, prefix, dropout } = place;
  return ops.tf.tidy(() => {
    const hidden = project(place, "intermediate.dense", x);
    const output = project(place, "output.dense", geluErf(ops, hidden));
    const sum = ops.tf.add(x, drop(ops, output, `${prefix}.mlp`, dropout));
    const { y, ...norm } = normalize(place, "output.LayerNorm", sum);
    return { y, saved: { hidden, norm } };
  });
}

function mlpLayerBackward(place: BertPlace, dy: Tensor, { attention, mlp: saved }: SavedBertBlock): Backward {
  const { ops, prefix, dropout } = place;
  return ops.tf.tidy(() => {
    const norm = normalizeBackward(place, "output.LayerNorm", dy, saved.norm);
    const dOutput = drop(ops, norm.dx, `${prefix}.mlp`, dropout);
    const { y: active, slope } = geluErfWithSlope(ops, saved.hidden);
    const output = projectBackward(place, "output.dense", dOutput, active);
    const dHidden = ops.tf.mul(output.dx, slope);
    const x = normalizedOutput(place, "attention.output.LayerNorm", attention.norm);
    const input = projectBackward(place, "intermediate.dense", dHidden, x);
    return { dx: ops.tf.add(norm.dx, input.dx), gradient: mergedGradients([norm, output, input]) };
  });
}

/** Where a linear layer or a norm is, for the functions below. */
export type Place = Pick<BertPlace, "ops" | "theta" | "prefix" | "epsilon">;

const parameter = ({ theta, prefix }: Place, name: string): Tensor => tensorOf(theta, `${prefix}.${name}`);

export const project = (place: Place, name: string, x: Tensor): Tensor =>
  dense(place.ops, x, parameter(place, `${name}.weight`), parameter(place, `${name}.bias`));

export function projectBackward(place: Place, name: string, dy: Tensor, x: Tensor): Backward {
  const { dx, dWeight, dBias } = biasedBackward(place.ops, dy, x, parameter(place, `${name}.weight`));
  return { dx, gradient: named(place, name, dWeight, dBias) };
}

export const normalize = (place: Place, name: string, x: Tensor): LayerNorm =>
  layerNorm(
    place.ops,
    x,
    parameter(place, `${name}.weight`),
    parameter(place, `${name}.bias`),
    place.epsilon,
  );

export function normalizeBackward(place: Place, name: string, dy: Tensor, norm: Normalized): Backward {
  const gain = parameter(place, `${name}.weight`);
  const { dx, dGain, dBias } = layerNormBackward(place.ops, dy, norm, gain);
  return { dx, gradient: named(place, name, dGain, dBias) };
}

/** The output of `normalize` once more. */
export function normalizedOutput(place: Place, name: string, { normalized }: Normalized): Tensor {
  const { tf } = place.ops;
  const [gain, bias] = [parameter(place, `${name}.weight`), parameter(place, `${name}.bias`)];
  return tf.tidy(() => tf.add(tf.mul(normalized, gain), bias));
}

const named = ({ prefix }: Place, name: string, weight: Tensor, bias: Tensor) => ({
  [`${prefix}.${name}.weight`]: weight,
  [`${prefix}.${name}.bias`]: bias,
});
