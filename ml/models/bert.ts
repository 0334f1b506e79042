import type { Tensor, Tensor2D } from "@tensorflow/tfjs";
import { z } from "zod";
import {
  checkHeads,
  configFields,
  fieldsOfTokenIds,
  jsonText,
  NO_TOKEN_IDS,
  paddingOf,
  size,
  tokenIdFields,
  tokenIdsOf,
  wrongModel,
} from "./config.ts";
import type { Family, ModelConfig } from "./family.ts";
import type { Block } from "./layers/blocks.ts";
import { blockMasks, drop, dropoutNames, type MaskShapes } from "./layers/dropout.ts";
import {
  addPositions,
  lookUpBackward,
  padRows,
  positionsBackward,
  tokensBackward,
} from "./layers/embedding.ts";
import { geluErf } from "./layers/gelu.ts";
import { mergedGradients, type Pass } from "./layers/layer.ts";
import { linear, linearOf } from "./layers/linear.ts";
import { maskedTokenModel } from "./layers/masked-token.ts";
import { mlp } from "./layers/mlp.ts";
import { layerNorm, type Normalized } from "./layers/norm.ts";
import { columnSums, type Ops } from "./layers/ops.ts";
import { postNormBlock } from "./layers/residual.ts";
import { scaling, separateAttention, unchanged } from "./layers/self-attention.ts";
import { type ModelParameter, normalTable, type Tokens, tensorOf } from "./model.ts";

/**
 * BERT (Devlin et al. 2019) as `BertForMaskedLM` of Hugging Face's transformers has it: the same names, layouts and
 * initial distributions. The output projection is the token embedding and is not stored twice.
 */
export type Bert = ModelConfig & {
  readonly heads: number;
  readonly width: number;
  /** Width of the feed-forward layer. */
  readonly hidden: number;
  /** Token types: the parts of a pair have one each. */
  readonly types: number;
  readonly epsilon: number;
  /** Standard deviation of the initial weights. */
  readonly deviation: number;
  /** The token whose embedding is not trained by being read; null: none. */
  readonly padding: number | null;
};

const EMBEDDINGS = "bert.embeddings";
const WORDS = `${EMBEDDINGS}.word_embeddings.weight`;
const POSITIONS = `${EMBEDDINGS}.position_embeddings.weight`;
const TYPES = `${EMBEDDINGS}.token_type_embeddings.weight`;
const HEAD = "cls.predictions";

const layer = (name: string) => linear(name, { bias: true, inputsFirst: false });
const TRANSFORM = layer(`${HEAD}.transform.dense`);
const DECODER = linearOf({ weight: WORDS, bias: `${HEAD}.bias`, inputsFirst: false });
const normsOf = ({ epsilon }: Bert) => ({
  embedding: layerNorm(`${EMBEDDINGS}.LayerNorm`, epsilon),
  transform: layerNorm(`${HEAD}.transform.LayerNorm`, epsilon),
});

const blockNames = ({ layers }: Bert): string[] =>
  Array.from({ length: layers }, (_, i) => `bert.encoder.layer.${i}`);

const layersOf = (block: string, epsilon: number) => ({
  attention: {
    queries: layer(`${block}.attention.self.query`),
    keys: layer(`${block}.attention.self.key`),
    values: layer(`${block}.attention.self.value`),
    output: layer(`${block}.attention.output.dense`),
  },
  attentionNorm: layerNorm(`${block}.attention.output.LayerNorm`, epsilon),
  mlp: { input: layer(`${block}.intermediate.dense`), output: layer(`${block}.output.dense`) },
  mlpNorm: layerNorm(`${block}.output.LayerNorm`, epsilon),
});

function parametersOf(model: Bert): ModelParameter[] {
  const { width, hidden, context, vocabulary, types, epsilon, deviation, padding } = model;
  const norms = normsOf(model);
  const blocks = blockNames(model).flatMap((name) => {
    const { attention, attentionNorm, mlp, mlpNorm } = layersOf(name, epsilon);
    return [
      ...Object.values(attention).flatMap((each) => each.parameters(width, width, deviation)),
      ...attentionNorm.parameters(width),
      ...mlp.input.parameters(width, hidden, deviation),
      ...mlp.output.parameters(hidden, width, deviation),
      ...mlpNorm.parameters(width),
    ];
  });
  // Its weight is the table of words.
  const [, bias] = DECODER.parameters(width, vocabulary, deviation);
  return [
    normalTable(WORDS, [vocabulary, width], deviation, padding),
    normalTable(POSITIONS, [context, width], deviation),
    normalTable(TYPES, [types, width], deviation),
    ...norms.embedding.parameters(width),
    ...blocks,
    ...TRANSFORM.parameters(width, width, deviation),
    ...norms.transform.parameters(width),
    ...(bias ? [bias] : []),
  ];
}

function maskShapes(model: Bert, sequences: number, length: number): MaskShapes {
  const { heads, width } = model;
  const blocks = blockNames(model).map((name) => blockMasks(name, { sequences, length, heads, width }));
  return Object.assign({ [EMBEDDINGS]: [sequences * length, width] }, ...blocks);
}

function blocksOf(pass: Pass, model: Bert, tokens: Tokens): Block[] {
  const { ops } = pass;
  const { heads, width, epsilon } = model;
  const { sequences, length } = tokens;
  const mask = tokens.mask ? paddingMask(ops, tokens.mask) : null;
  const groups = { sequences, length, heads, keyValueHeads: heads };
  const prepare = { queries: scaling(ops, 1 / Math.sqrt(width / heads)), keys: unchanged };
  return blockNames(model).map((name) => {
    const layers = layersOf(name, epsilon);
    const dropout = dropoutNames(name);
    const attentionLayers = { ...layers.attention, prepare, dropout: dropout.attention };
    const attention = separateAttention(pass, attentionLayers, mask, groups);
    const inner = mlp(pass, { ...layers.mlp, activation: geluErf, dropout: dropout.mlp });
    return postNormBlock(
      pass,
      { norm: layers.attentionNorm, branch: attention },
      { norm: layers.mlpNorm, branch: inner },
    );
  });
}

/** [B, T] of 1 and 0 -> what is added to the scores, [B, 1, 1, T]. */
const paddingMask = ({ tf }: Ops, mask: Tensor2D): Tensor =>
  tf.tidy(() => tf.reshape(tf.mul(tf.sub(1, mask), -1e9), [mask.shape[0], 1, 1, mask.shape[1]]));

/** Token, position and type embeddings added and normalized, [B T, C]. */
function embed(pass: Pass, model: Bert, tokens: Tokens): { y: Tensor; saved: Normalized } {
  const { ops, theta, dropout } = pass;
  const { tf } = ops;
  const { ids, types } = tokens;
  return tf.tidy(() => {
    const words = tf.gather(tensorOf(theta, WORDS), ids);
    const table = tensorOf(theta, TYPES);
    const typed = tf.add(words, types ? tf.gather(table, types) : tf.slice(table, 0, 1));
    const x = addPositions(ops, typed, tensorOf(theta, POSITIONS), tokens);
    const { y, saved } = normsOf(model).embedding.forward(pass, x);
    return { y: drop(ops, y, EMBEDDINGS, dropout), saved };
  });
}

function embedBackward(pass: Pass, model: Bert, dy: Tensor, saved: Normalized, tokens: Tokens) {
  const { ops, dropout } = pass;
  const { ids, types } = tokens;
  return ops.tf.tidy(() => {
    const dSum = drop(ops, dy, EMBEDDINGS, dropout);
    const { dx, gradient } = normsOf(model).embedding.backward(pass, dSum, saved);
    return {
      ...gradient,
      [WORDS]: tokensBackward(ops, dx, ids, model),
      [POSITIONS]: positionsBackward(ops, dx, tokens, model.context),
      // Types that no token had have no gradient.
      [TYPES]: types
        ? lookUpBackward(ops, dx, types, model.types)
        : padRows(ops, columnSums(ops, dx).reshape([1, -1]), model.types),
    };
  });
}

/** The head's last layer shares its weight with the table of words. */
function head(pass: Pass, model: Bert, x: Tensor) {
  const hidden = TRANSFORM.forward(pass, x);
  const { y, saved } = normsOf(model).transform.forward(pass, geluErf.forward(pass.ops, hidden));
  return { logits: DECODER.forward(pass, y), saved: { y, norm: saved, hidden } };
}

const computation = maskedTokenModel({
  embed,
  embedBackward,
  blocks: blocksOf,
  head,
  headBackward(pass, model, dLogits, { y, norm, hidden }: ReturnType<typeof head>["saved"], x) {
    const { ops } = pass;
    const decoder = DECODER.backward(pass, dLogits, y);
    const normed = normsOf(model).transform.backward(pass, decoder.dx, norm);
    const dHidden = ops.tf.mul(normed.dx, geluErf.withSlope(ops, hidden).slope);
    const transform = TRANSFORM.backward(pass, dHidden, x);
    return { dx: transform.dx, gradient: mergedGradients([decoder, normed, transform]) };
  },
});

/** The fields of a BERT config that change the computation; others are let through. */
const configSchema = z.object({
  model_type: z.literal("bert"),
  vocab_size: size.default(30_522),
  max_position_embeddings: size.default(512),
  hidden_size: size.default(768),
  intermediate_size: size.default(3072),
  num_hidden_layers: size.default(12),
  num_attention_heads: size.default(12),
  type_vocab_size: size.default(2),
  // Two ways to compute one function.
  hidden_act: z.enum(["gelu", "gelu_python"]).default("gelu"),
  layer_norm_eps: z.number().positive().lt(1).default(1e-12),
  initializer_range: z.number().min(0).max(1).default(0.02),
  position_embedding_type: z.literal("absolute").optional(),
  is_decoder: z.literal(false).optional(),
  add_cross_attention: z.literal(false).optional(),
  tie_word_embeddings: z.literal(true).optional(),
  ...tokenIdFields({ bos: null, eos: null, pad: 0 }),
});

export const bert: Family<Bert> = {
  type: "bert",
  masked: true,

  configOf(spec, vocabulary, special = NO_TOKEN_IDS) {
    if (spec.type !== "bert") return wrongModel("bert", spec);
    const { layers, heads, width, hidden, context, dropout, recompute } = spec;
    const sizes = { layers, heads, width, hidden, context, vocabulary, types: 2 };
    return { ...sizes, epsilon: 1e-12, deviation: 0.02, padding: special.pad, special, dropout, recompute };
  },

  fromHuggingFace(configJson, what) {
    const config = configFields(configSchema, configJson, what);
    const [heads, width] = [config.num_attention_heads, config.hidden_size];
    checkHeads(["num_attention_heads", heads], ["hidden_size", width], what);
    const vocabulary = config.vocab_size;
    const padding = paddingOf(config.pad_token_id, vocabulary, what);
    return {
      layers: config.num_hidden_layers,
      heads,
      width,
      hidden: config.intermediate_size,
      context: config.max_position_embeddings,
      vocabulary,
      types: config.type_vocab_size,
      epsilon: config.layer_norm_eps,
      deviation: config.initializer_range,
      padding,
      special: tokenIdsOf(config),
      dropout: 0,
    };
  },

  naming: {
    prefix: "bert.",
    spellings: [
      [/\.LayerNorm\.gamma$/, ".LayerNorm.weight"],
      [/\.LayerNorm\.beta$/, ".LayerNorm.bias"],
    ],
    copies: { [`${HEAD}.decoder.weight`]: WORDS, [`${HEAD}.decoder.bias`]: `${HEAD}.bias` },
    ignored: /^(bert\.embeddings\.position_ids|bert\.pooler\..+|cls\.seq_relationship\..+)$/,
    optional: /^cls\.predictions\./,
    optionalPart: "masked language model's head",
  },

  parameters: parametersOf,
  files: filesOf,
  dropout: maskShapes,
  ...computation,
};

function filesOf(model: Bert): Record<string, string> {
  const config = {
    architectures: ["BertForMaskedLM"],
    model_type: "bert",
    vocab_size: model.vocabulary,
    max_position_embeddings: model.context,
    hidden_size: model.width,
    intermediate_size: model.hidden,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    type_vocab_size: model.types,
    hidden_act: "gelu",
    hidden_dropout_prob: model.dropout,
    attention_probs_dropout_prob: model.dropout,
    layer_norm_eps: model.epsilon,
    initializer_range: model.deviation,
    tie_word_embeddings: true,
    ...fieldsOfTokenIds({ ...(model.special ?? NO_TOKEN_IDS), pad: model.padding }),
    torch_dtype: "float32",
  };
  return { "config.json": jsonText(config) };
}
