import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import { causalMask } from "./attention.ts";
import { blockDropout, gpt2Block } from "./block.ts";
import { forwardBlocks, throughBlocks } from "./blocks.ts";
import type { DecoderBlock, DecoderShape } from "./decoder-shape.ts";
import { type Dropout, type DropoutPlaces, drop } from "./dropout.ts";
import {
  type Init,
  type LossAndGradient,
  type ModelParameter,
  type Tensors,
  type Tokens,
  tensorOf,
} from "./model.ts";
import {
  crossEntropy,
  layerNorm,
  layerNormBackward,
  lookUpBackward,
  type Ops,
  timesTransposed,
  transposedTimes,
} from "./ops.ts";

/**
 * GPT-2 (Radford et al. 2019) as `GPT2LMHeadModel` of Hugging Face's transformers has it: the same names, layouts
 * and initial distributions. The output projection is the token embedding and is not stored twice.
 */
export type Gpt2 = Omit<Extract<ModelSpec, { type: "gpt2" }>, "type" | "dropout" | "recompute"> & {
  readonly vocabulary: number;
  /** Keep only each block's input for the backward pass, and run the block once more there; left out: no. */
  readonly recompute?: boolean;
  /** Share of elements left out in training; left out: 0. */
  readonly dropout?: number;
};

export const LAYER_NORM_EPSILON = 1e-5;
const DEVIATION = 0.02;

const TOKENS = "transformer.wte.weight";
const EMBEDDINGS = "transformer.drop";
const POSITIONS = "transformer.wpe.weight";
const FINAL_NORM = "transformer.ln_f";
const blockName = (layer: number): string => `transformer.h.${layer}`;

export function gpt2Parameters({ layers, width, context, vocabulary }: Gpt2): ModelParameter[] {
  const normal = (deviation: number): Init => ({ type: "normal", deviation });
  const parameter = (name: string, shape: number[], init: Init): ModelParameter => ({ name, shape, init });
  const norm = (name: string) => [
    parameter(`${name}.weight`, [width], { type: "ones" }),
    parameter(`${name}.bias`, [width], { type: "zeros" }),
  ];
  const projection = (name: string, inputs: number, outputs: number, deviation = DEVIATION) => [
    parameter(`${name}.weight`, [inputs, outputs], normal(deviation)),
    parameter(`${name}.bias`, [outputs], { type: "zeros" }),
  ];
  // Two additions per block to the residual stream: scaled so that its variance does not grow with depth.
  const residual = DEVIATION / Math.sqrt(2 * layers);
  const blocks = Array.from({ length: layers }, (_, layer) => blockName(layer)).flatMap((h) => [
    ...norm(`${h}.ln_1`),
    ...projection(`${h}.attn.c_attn`, width, 3 * width),
    ...projection(`${h}.attn.c_proj`, width, width, residual),
    ...norm(`${h}.ln_2`),
    ...projection(`${h}.mlp.c_fc`, width, 4 * width),
    ...projection(`${h}.mlp.c_proj`, 4 * width, width, residual),
  ]);
  return [
    parameter(TOKENS, [vocabulary, width], normal(DEVIATION)),
    parameter(POSITIONS, [context, width], normal(DEVIATION)),
    ...blocks,
    ...norm(FINAL_NORM),
  ];
}

/** GPT-2 as ml/inference runs it. */
export function gpt2Decoder({ layers, heads, width, vocabulary }: Gpt2): DecoderShape {
  const layer = (name: string) => ({ weight: `${name}.weight`, bias: `${name}.bias`, inputsFirst: true });
  const norm = (name: string) => ({
    gain: `${name}.weight`,
    bias: `${name}.bias`,
    epsilon: LAYER_NORM_EPSILON,
  });
  const block = (h: string): DecoderBlock => ({
    attention: {
      norm: norm(`${h}.ln_1`),
      projections: [layer(`${h}.attn.c_attn`)],
      output: layer(`${h}.attn.c_proj`),
    },
    mlp: {
      type: "gelu",
      norm: norm(`${h}.ln_2`),
      input: layer(`${h}.mlp.c_fc`),
      output: layer(`${h}.mlp.c_proj`),
    },
  });
  return {
    ...{ heads, width, vocabulary, keyHeads: heads, headWidth: width / heads, hidden: 4 * width },
    tokens: TOKENS,
    positions: POSITIONS,
    frequencies: new Float32Array(),
    blocks: Array.from({ length: layers }, (_, i) => block(blockName(i))),
    norm: norm(FINAL_NORM),
    head: { weight: TOKENS, bias: null, inputsFirst: false },
  };
}

function blocksOf(ops: Ops, model: Gpt2, theta: Tensors, tokens: Tokens, dropout?: Dropout) {
  const { sequences, length } = tokens;
  const shape = { sequences, length, heads: model.heads, epsilon: LAYER_NORM_EPSILON };
  const mask = causalMask(ops, length);
  return Array.from({ length: model.layers }, (_, layer) =>
    gpt2Block({ ops, theta, prefix: blockName(layer), dropout }, mask, shape),
  );
}

/** Where GPT-2 drops what, for B sequences of T tokens. */
export function gpt2Dropout(
  { layers, heads, width }: Gpt2,
  sequences: number,
  length: number,
): DropoutPlaces {
  const blocks = Array.from({ length: layers }, (_, layer) =>
    blockDropout(blockName(layer), { sequences, length, heads }, width),
  );
  return Object.assign({ [EMBEDDINGS]: [sequences * length, width] }, ...blocks);
}

/** Token and position embeddings added, [B T, C]. */
function embed({ tf }: Ops, theta: Tensors, { ids, sequences, length }: Tokens): Tensor {
  return tf.tidy(() => {
    const tokens = tf.reshape(tf.gather(tensorOf(theta, TOKENS), ids), [sequences, length, -1]);
    const positions = tf.slice(tensorOf(theta, POSITIONS), 0, length);
    return tf.reshape(tf.add(tokens, positions), [sequences * length, -1]);
  });
}

/** The logits of every token, [B T, V]. */
export function gpt2Logits(ops: Ops, model: Gpt2, theta: Tensors, tokens: Tokens): Tensor2D {
  const { tf } = ops;
  return tf.tidy(() => {
    const x = throughBlocks(ops, blocksOf(ops, model, theta, tokens), embed(ops, theta, tokens));
    return timesTransposed(ops, finalNorm(ops, theta, x).y, tensorOf(theta, TOKENS)) as Tensor2D;
  });
}

const finalNorm = (ops: Ops, theta: Tensors, x: Tensor) =>
  layerNorm(
    ops,
    x,
    tensorOf(theta, `${FINAL_NORM}.weight`),
    tensorOf(theta, `${FINAL_NORM}.bias`),
    LAYER_NORM_EPSILON,
  );

/** Mean cross-entropy of the logits against the tokens that follow, without a gradient. */
export function gpt2Loss(ops: Ops, model: Gpt2, theta: Tensors, tokens: Tokens, targets: Tensor1D): Scalar {
  return ops.tf.tidy(() => crossEntropy(ops, gpt2Logits(ops, model, theta, tokens), targets).loss);
}

/** Mean cross-entropy and its gradient for every parameter. */
export function gpt2LossAndGradient(
  ops: Ops,
  model: Gpt2,
  theta: Tensors,
  tokens: Tokens,
  targets: Tensor1D,
  dropout?: Dropout,
): LossAndGradient {
  return ops.tf.tidy(() => {
    const embedded = drop(ops, embed(ops, theta, tokens), EMBEDDINGS, dropout);
    const blocks = forwardBlocks(ops, blocksOf(ops, model, theta, tokens, dropout), embedded, {
      recompute: model.recompute ?? false,
      savesInput: false,
    });
    const head = headBackward(ops, theta, blocks.y, targets);
    blocks.y.dispose();
    const { dx, gradient } = blocks.backward(head.dx);
    const embedding = embedBackward(ops, model, drop(ops, dx, EMBEDDINGS, dropout), tokens);
    const dTokens = ops.tf.add(head.dTokens, embedding.dTokens);
    const own = { [TOKENS]: dTokens, [POSITIONS]: embedding.dPositions };
    return { loss: head.loss, gradient: { ...own, ...gradient, ...head.gradient } };
  });
}

/** From the last block's output to the loss, and back. */
function headBackward(ops: Ops, theta: Tensors, x: Tensor, targets: Tensor1D) {
  const { tf } = ops;
  return tf.tidy(() => {
    const table = tensorOf(theta, TOKENS);
    const norm = finalNorm(ops, theta, x);
    const { loss, dLogits } = crossEntropy(ops, timesTransposed(ops, norm.y, table), targets);
    const dNorm = tf.matMul(dLogits, table as Tensor2D);
    const dTokens = transposedTimes(ops, dLogits, norm.y);
    const { dx, dGain, dBias } = layerNormBackward(ops, dNorm, norm, tensorOf(theta, `${FINAL_NORM}.weight`));
    const gradient = { [`${FINAL_NORM}.weight`]: dGain, [`${FINAL_NORM}.bias`]: dBias };
    return { loss, dx, dTokens, gradient };
  });
}

function embedBackward(ops: Ops, model: Gpt2, dx: Tensor, { ids, sequences, length }: Tokens) {
  const { tf } = ops;
  return tf.tidy(() => {
    const perPosition = tf.sum(tf.reshape(dx, [sequences, length, -1]), 0);
    return {
      dTokens: lookUpBackward(ops, dx, ids, model.vocabulary),
      // Positions that no sequence reached have no gradient.
      dPositions: tf.pad(perPosition, [
        [0, model.context - length],
        [0, 0],
      ]),
    };
  });
}
