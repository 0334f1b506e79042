import { z } from "zod";
import { InvalidInput } from "../../protocol/errors.ts";
import {
  checkHeads,
  configFields,
  fieldsOfTokenIds,
  jsonText,
  NO_TOKEN_IDS,
  size,
  tokenIdFields,
  tokenIdsOf,
  wrongModel,
} from "./config.ts";
import type { DecoderBlock, DecoderShape } from "./decoder-shape.ts";
import type { Family, ModelConfig } from "./family.ts";
import { causalMask } from "./layers/attention.ts";
import type { Block } from "./layers/blocks.ts";
import { blockMasks, drop, dropoutNames, type MaskShapes } from "./layers/dropout.ts";
import { addPositions, lookUpBackward, positionsBackward } from "./layers/embedding.ts";
import { geluTanh } from "./layers/gelu.ts";
import type { Pass } from "./layers/layer.ts";
import { linear, linearOf } from "./layers/linear.ts";
import { mlp } from "./layers/mlp.ts";
import { nextTokenModel } from "./layers/next-token.ts";
import { layerNorm } from "./layers/norm.ts";
import { preNormBlock } from "./layers/residual.ts";
import { jointAttention } from "./layers/self-attention.ts";
import { type ModelParameter, normalTable, type Tokens, tensorOf } from "./model.ts";
import { PLAIN_NAMING } from "./naming.ts";

/**
 * GPT-2 (Radford et al. 2019) as `GPT2LMHeadModel` of Hugging Face's transformers has it: the same names, layouts
 * and initial distributions.
 */
export type Gpt2 = ModelConfig & {
  readonly heads: number;
  readonly width: number;
  /** The output projection is the token embedding, and is not stored twice; left out: it is. */
  readonly tied?: boolean;
};

const EPSILON = 1e-5;
const DEVIATION = 0.02;

const TOKENS = "transformer.wte.weight";
const POSITIONS = "transformer.wpe.weight";
const EMBEDDING_DROPOUT = "transformer.drop";
const headOf = ({ tied = true }: Pick<Gpt2, "tied">) =>
  linearOf({ weight: tied ? TOKENS : "lm_head.weight", bias: null, inputsFirst: false });
const FINAL_NORM = layerNorm("transformer.ln_f", EPSILON);

const blockNames = ({ layers }: Gpt2): string[] =>
  Array.from({ length: layers }, (_, layer) => `transformer.h.${layer}`);

function layersOf(block: string) {
  const layer = (name: string) => linear(`${block}.${name}`, { bias: true, inputsFirst: true });
  return {
    attentionNorm: layerNorm(`${block}.ln_1`, EPSILON),
    attention: { projection: layer("attn.c_attn"), output: layer("attn.c_proj") },
    mlpNorm: layerNorm(`${block}.ln_2`, EPSILON),
    mlp: { input: layer("mlp.c_fc"), output: layer("mlp.c_proj") },
  };
}

function parametersOf(model: Gpt2): ModelParameter[] {
  const { layers, width, context, vocabulary } = model;
  // Two additions per block to the residual stream: scaled so that its variance does not grow with depth.
  const residual = DEVIATION / Math.sqrt(2 * layers);
  const blocks = blockNames(model).flatMap((name) => {
    const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name);
    return [
      ...attentionNorm.parameters(width),
      ...attention.projection.parameters(width, 3 * width, DEVIATION),
      ...attention.output.parameters(width, width, residual),
      ...mlpNorm.parameters(width),
      ...mlp.input.parameters(width, 4 * width, DEVIATION),
      ...mlp.output.parameters(4 * width, width, residual),
    ];
  });
  return [
    normalTable(TOKENS, [vocabulary, width], DEVIATION),
    normalTable(POSITIONS, [context, width], DEVIATION),
    ...blocks,
    ...FINAL_NORM.parameters(width),
    ...(model.tied === false ? headOf(model).parameters(width, vocabulary, DEVIATION) : []),
  ];
}

function blocksOf(pass: Pass, model: Gpt2, { sequences, length }: Tokens): Block[] {
  const mask = causalMask(pass.ops, length);
  const heads = { sequences, length, heads: model.heads };
  return blockNames(model).map((name) => {
    const layers = layersOf(name);
    const dropout = dropoutNames(name);
    const attention = jointAttention(pass, { ...layers.attention, dropout: dropout.attention }, mask, heads);
    const inner = mlp(pass, { ...layers.mlp, activation: geluTanh, dropout: dropout.mlp });
    return preNormBlock(
      pass,
      { norm: layers.attentionNorm, branch: attention },
      { norm: layers.mlpNorm, branch: inner },
    );
  });
}

const computation = nextTokenModel<Gpt2>({
  embed: ({ ops, theta, dropout }, _model, tokens) =>
    ops.tf.tidy(() => {
      const x = ops.tf.gather(tensorOf(theta, TOKENS), tokens.ids);
      return drop(ops, addPositions(ops, x, tensorOf(theta, POSITIONS), tokens), EMBEDDING_DROPOUT, dropout);
    }),
  embedBackward: ({ ops, dropout }, model, dy, tokens) => {
    const dx = drop(ops, dy, EMBEDDING_DROPOUT, dropout);
    return {
      [TOKENS]: lookUpBackward(ops, dx, tokens.ids, model.vocabulary),
      [POSITIONS]: positionsBackward(ops, dx, tokens, model.context),
    };
  },
  blocks: blocksOf,
  norm: () => FINAL_NORM,
  head: headOf,
});

function maskShapes(model: Gpt2, sequences: number, length: number): MaskShapes {
  const { heads, width } = model;
  const blocks = blockNames(model).map((name) => blockMasks(name, { sequences, length, heads, width }));
  return Object.assign({ [EMBEDDING_DROPOUT]: [sequences * length, width] }, ...blocks);
}

function decoderOf(model: Gpt2): DecoderShape {
  const { heads, width, vocabulary } = model;
  const blocks = blockNames(model).map((name): DecoderBlock => {
    const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name);
    return {
      attention: {
        norm: attentionNorm.names,
        projections: [attention.projection.names],
        output: attention.output.names,
      },
      mlp: { type: "gelu", norm: mlpNorm.names, input: mlp.input.names, output: mlp.output.names },
    };
  });
  return {
    ...{ width, heads, keyHeads: heads, headWidth: width / heads, hidden: 4 * width, vocabulary },
    ...{ tokens: TOKENS, positions: POSITIONS, frequencies: new Float32Array() },
    ...{ blocks, norm: FINAL_NORM.names, head: headOf(model).names },
  };
}

/** Spellings of the same activation, GELU by tanh. */
const TANH_GELUS = [
  "gelu_new",
  "gelu_pytorch_tanh",
  "gelu_python_tanh",
  "gelu_fast",
  "gelu_accurate",
] as const;

/** Other spellings of fields, which transformers prefers. */
const OTHER_NAMES = {
  hidden_size: "n_embd",
  max_position_embeddings: "n_positions",
  num_attention_heads: "n_head",
  num_hidden_layers: "n_layer",
} as const;

/** The fields of a GPT-2 config that change the computation; others are let through. */
const configSchema = z.object({
  model_type: z.literal("gpt2"),
  vocab_size: size.default(50_257),
  n_positions: size.default(1024),
  n_embd: size.default(768),
  n_layer: size.default(12),
  n_head: size.default(12),
  n_inner: z.int().nullable().default(null),
  activation_function: z.enum(TANH_GELUS).default("gelu_new"),
  layer_norm_epsilon: z.literal(EPSILON).default(EPSILON),
  scale_attn_weights: z.literal(true).optional(),
  scale_attn_by_inverse_layer_idx: z.literal(false).optional(),
  add_cross_attention: z.literal(false).optional(),
  tie_word_embeddings: z.boolean().default(true),
  ...tokenIdFields({ bos: 50_256, eos: 50_256, pad: null }),
});

function readFields(json: unknown, what: string) {
  const fields: Record<string, unknown> = { ...(typeof json === "object" ? json : {}) };
  for (const [name, own] of Object.entries(OTHER_NAMES)) if (name in fields) fields[own] = fields[name];
  const config = configFields(configSchema, fields, what);
  const { n_embd: width, n_head: heads, n_inner: inner } = config;
  checkHeads(["n_head", heads], ["n_embd", width], what);
  if (inner !== null && inner !== 4 * width) {
    throw new InvalidInput(`${what}: n_inner must be 4 times n_embd (${4 * width}) or null, got ${inner}`);
  }
  return config;
}

export const gpt2: Family<Gpt2> = {
  type: "gpt2",
  masked: false,

  configOf(spec, vocabulary, special = NO_TOKEN_IDS) {
    if (spec.type !== "gpt2") return wrongModel("gpt2", spec);
    const { layers, heads, width, context, dropout, recompute } = spec;
    return { layers, heads, width, context, vocabulary, dropout, recompute, special };
  },

  fromHuggingFace(configJson, what) {
    const config = readFields(configJson, what);
    return {
      layers: config.n_layer,
      heads: config.n_head,
      width: config.n_embd,
      context: config.n_positions,
      vocabulary: config.vocab_size,
      special: tokenIdsOf(config),
      ...(config.tie_word_embeddings ? {} : { tied: false }),
    };
  },

  naming: {
    ...PLAIN_NAMING,
    prefix: "transformer.",
    copies: { "lm_head.weight": TOKENS },
    ignored: /^transformer\.h\.\d+\.attn\.(bias|masked_bias)$/,
  },

  parameters: parametersOf,
  files: filesOf,
  dropout: maskShapes,
  decoder: decoderOf,
  ...computation,
};

function filesOf(model: Gpt2): Record<string, string> {
  const { layers, heads, width, context, vocabulary, dropout = 0, tied = true } = model;
  const special = fieldsOfTokenIds(model.special ?? NO_TOKEN_IDS);
  const config = {
    architectures: ["GPT2LMHeadModel"],
    model_type: "gpt2",
    vocab_size: vocabulary,
    n_positions: context,
    n_embd: width,
    n_layer: layers,
    n_head: heads,
    n_inner: null,
    activation_function: "gelu_new",
    layer_norm_epsilon: EPSILON,
    initializer_range: DEVIATION,
    resid_pdrop: dropout,
    embd_pdrop: dropout,
    attn_pdrop: dropout,
    scale_attn_weights: true,
    tie_word_embeddings: tied,
    ...special,
    torch_dtype: "float32",
  };
  return {
    "config.json": jsonText(config),
    "generation_config.json": jsonText({ ...special, do_sample: true }),
  };
}
