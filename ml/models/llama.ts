import type { Scalar, Tensor, Tensor2D } from "@tensorflow/tfjs";
import { causalMask } from "./attention.ts";
import { forwardBlocks, throughBlocks } from "./blocks.ts";
import type { TokenIds } from "./config.ts";
import type { DecoderBlock, DecoderShape } from "./decoder-shape.ts";
import { dense, denseBackward } from "./dense.ts";
import { llamaBlock } from "./llama-block.ts";
import {
  type Batch,
  type LossAndGradient,
  type ModelParameter,
  type Tensors,
  type Tokens,
  tensorOf,
} from "./model.ts";
import { crossEntropy, type Ops } from "./ops.ts";
import { rmsNorm, rmsNormBackward } from "./rms-norm.ts";
import { type Llama3Scaling, rotaryFrequencies, rotationOf } from "./rotary.ts";
import { wordsBackward } from "./words.ts";

/**
 * Llama (Touvron et al. 2023) as `LlamaForCausalLM` of Hugging Face's transformers has it: the same names, layouts
 * and initial distributions, with grouped-query attention and Llama 3.1's rotary scaling.
 */
export type Llama = {
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values; divides `heads`. */
  readonly keyValueHeads: number;
  /** Even. */
  readonly headWidth: number;
  readonly width: number;
  /** Width of the gated layer. */
  readonly hidden: number;
  readonly context: number;
  readonly vocabulary: number;
  readonly ropeTheta: number;
  readonly ropeScaling: Llama3Scaling | null;
  /** The output projection is the token embedding, and is not stored twice. */
  readonly tied: boolean;
  readonly epsilon: number;
  /** Standard deviation of the initial weights. */
  readonly deviation: number;
  /** The token whose embedding is not trained by being read; null: none. */
  readonly padding: number | null;
  readonly special?: TokenIds;
  /** Keep only each block's input for the backward pass, and run the block once more there; left out: no. */
  readonly recompute?: boolean;
};

const TOKENS = "model.embed_tokens.weight";
const FINAL_NORM = "model.norm.weight";
const HEAD = "lm_head.weight";
const blockName = (layer: number): string => `model.layers.${layer}`;

export function llamaParameters(model: Llama): ModelParameter[] {
  const { layers, heads, keyValueHeads, headWidth, width, hidden, vocabulary, deviation, padding } = model;
  const norm = (name: string): ModelParameter => ({ name, shape: [width], init: { type: "ones" } });
  const matrix = (name: string, rows: number, columns: number): ModelParameter => ({
    name,
    shape: [rows, columns],
    init: { type: "normal", deviation },
  });
  const blocks = Array.from({ length: layers }, (_, layer) => blockName(layer)).flatMap((block) => [
    norm(`${block}.input_layernorm.weight`),
    matrix(`${block}.self_attn.q_proj.weight`, heads * headWidth, width),
    matrix(`${block}.self_attn.k_proj.weight`, keyValueHeads * headWidth, width),
    matrix(`${block}.self_attn.v_proj.weight`, keyValueHeads * headWidth, width),
    matrix(`${block}.self_attn.o_proj.weight`, width, heads * headWidth),
    norm(`${block}.post_attention_layernorm.weight`),
    matrix(`${block}.mlp.gate_proj.weight`, hidden, width),
    matrix(`${block}.mlp.up_proj.weight`, hidden, width),
    matrix(`${block}.mlp.down_proj.weight`, width, hidden),
  ]);
  const words: ModelParameter = {
    name: TOKENS,
    shape: [vocabulary, width],
    init: { type: "normal", deviation, zeroRow: padding },
  };
  const head = model.tied ? [] : [matrix(HEAD, vocabulary, width)];
  return [words, ...blocks, norm(FINAL_NORM), ...head];
}

/** Llama as ml/inference runs it. */
export function llamaDecoder(model: Llama): DecoderShape {
  const { layers, width, heads, keyValueHeads, headWidth, hidden, vocabulary, epsilon } = model;
  const layer = (name: string) => ({ weight: `${name}.weight`, bias: null, inputsFirst: false });
  const norm = (name: string) => ({ gain: name, bias: null, epsilon });
  const block = (h: string): DecoderBlock => ({
    attention: {
      norm: norm(`${h}.input_layernorm.weight`),
      projections: ["q_proj", "k_proj", "v_proj"].map((name) => layer(`${h}.self_attn.${name}`)),
      output: layer(`${h}.self_attn.o_proj`),
    },
    mlp: {
      type: "swiglu",
      norm: norm(`${h}.post_attention_layernorm.weight`),
      gate: layer(`${h}.mlp.gate_proj`),
      up: layer(`${h}.mlp.up_proj`),
      output: layer(`${h}.mlp.down_proj`),
    },
  });
  return {
    ...{ width, heads, vocabulary, headWidth, hidden, keyHeads: keyValueHeads },
    tokens: TOKENS,
    positions: null,
    frequencies: rotaryFrequencies({ headWidth, theta: model.ropeTheta, scaling: model.ropeScaling }),
    blocks: Array.from({ length: layers }, (_, i) => block(blockName(i))),
    norm: norm(FINAL_NORM),
    head: { weight: headName(model), bias: null, inputsFirst: false },
  };
}

function blocksOf(ops: Ops, model: Llama, theta: Tensors, { sequences, length }: Tokens) {
  const { heads, keyValueHeads, headWidth, ropeTheta: base, ropeScaling: scaling, epsilon } = model;
  const rotary = { headWidth, theta: base, scaling };
  const shared = {
    ops,
    theta,
    shape: { sequences, length, heads, keyValueHeads },
    epsilon,
    rotations: {
      queries: rotationOf(ops, rotary, length, { scale: 1 / Math.sqrt(headWidth) }),
      keys: rotationOf(ops, rotary, length),
    },
    mask: causalMask(ops, length),
  };
  return Array.from({ length: model.layers }, (_, layer) =>
    llamaBlock({ ...shared, prefix: blockName(layer) }),
  );
}

/** The logits of every token, [B T, V]. */
export function llamaLogits(ops: Ops, model: Llama, theta: Tensors, tokens: Tokens): Tensor2D {
  const { tf } = ops;
  return tf.tidy(() => {
    const embedded = tf.gather(tensorOf(theta, TOKENS), tokens.ids);
    const x = throughBlocks(ops, blocksOf(ops, model, theta, tokens), embedded);
    const { y } = rmsNorm(ops, x, tensorOf(theta, FINAL_NORM), model.epsilon);
    return dense(ops, y, tensorOf(theta, headName(model))) as Tensor2D;
  });
}

const headName = ({ tied }: Llama): string => (tied ? TOKENS : HEAD);

/** Mean cross-entropy of the logits against the tokens that follow, without a gradient. */
export function llamaLoss(ops: Ops, model: Llama, theta: Tensors, { tokens, targets }: Batch): Scalar {
  return ops.tf.tidy(() => crossEntropy(ops, llamaLogits(ops, model, theta, tokens), targets).loss);
}

/** Mean cross-entropy and its gradient for every parameter. */
export function llamaLossAndGradient(ops: Ops, model: Llama, theta: Tensors, batch: Batch): LossAndGradient {
  const { tf } = ops;
  return tf.tidy(() => {
    const embedded = tf.gather(tensorOf(theta, TOKENS), batch.tokens.ids);
    const blocks = forwardBlocks(ops, blocksOf(ops, model, theta, batch.tokens), embedded, {
      recompute: model.recompute ?? false,
      savesInput: false,
    });
    const head = headBackward(ops, model, theta, blocks.y, batch);
    blocks.y.dispose();
    const { dx, gradient } = blocks.backward(head.dx);
    const dWords = wordsBackward(ops, dx, batch.tokens.ids, model);
    const ofHead = model.tied
      ? { [TOKENS]: tf.add(dWords, head.dHead) }
      : { [TOKENS]: dWords, [HEAD]: head.dHead };
    return { loss: head.loss, gradient: { ...ofHead, [FINAL_NORM]: head.dGain, ...gradient } };
  });
}

/** From the last block's output to the loss, and back. */
function headBackward(ops: Ops, model: Llama, theta: Tensors, x: Tensor, { targets }: Batch) {
  return ops.tf.tidy(() => {
    const [gain, weight] = [tensorOf(theta, FINAL_NORM), tensorOf(theta, headName(model))];
    const norm = rmsNorm(ops, x, gain, model.epsilon);
    const { loss, dLogits } = crossEntropy(ops, dense(ops, norm.y, weight), targets);
    const output = denseBackward(ops, dLogits, norm.y, weight);
    const { dx, dGain } = rmsNormBackward(ops, output.dx, norm, gain);
    return { loss, dx, dGain, dHead: output.dWeight };
  });
}
