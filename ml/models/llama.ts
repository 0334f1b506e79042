import { z } from "zod";
import { InvalidInput } from "../../protocol/errors.ts";
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
import type { DecoderBlock, DecoderShape } from "./decoder-shape.ts";
import type { Family, ModelConfig } from "./family.ts";
import { causalMask } from "./layers/attention.ts";
import type { Block } from "./layers/blocks.ts";
import { tokensBackward } from "./layers/embedding.ts";
import type { Pass } from "./layers/layer.ts";
import { linear, linearOf } from "./layers/linear.ts";
import { gatedMlp } from "./layers/mlp.ts";
import { nextTokenModel } from "./layers/next-token.ts";
import { rmsNorm } from "./layers/norm.ts";
import { preNormBlock } from "./layers/residual.ts";
import { rotaryFrequencies, rotation } from "./layers/rotary.ts";
import { separateAttention } from "./layers/self-attention.ts";
import { type ModelParameter, normalTable, type Tokens, tensorOf } from "./model.ts";
import { PLAIN_NAMING } from "./naming.ts";
import { fieldsOfRope, type Rope, ropeFields, ropeOf } from "./rope-config.ts";

/**
 * Llama (Touvron et al. 2023) as `LlamaForCausalLM` of Hugging Face's transformers has it: the same names, layouts
 * and initial distributions, with grouped-query attention and Llama 3.1's rotary scaling.
 */
export type Llama = ModelConfig &
  Rope & {
    readonly heads: number;
    /** Heads of keys and values; divides `heads`. */
    readonly keyValueHeads: number;
    /** Even. */
    readonly headWidth: number;
    readonly width: number;
    /** Width of the gated layer. */
    readonly hidden: number;
    /** The output projection is the token embedding, and is not stored twice. */
    readonly tied: boolean;
    readonly epsilon: number;
    /** Standard deviation of the initial weights. */
    readonly deviation: number;
    /** The token whose embedding is not trained by being read; null: none. */
    readonly padding: number | null;
  };

const TOKENS = "model.embed_tokens.weight";
const headOf = ({ tied }: Pick<Llama, "tied">) =>
  linearOf({ weight: tied ? TOKENS : "lm_head.weight", bias: null, inputsFirst: false });
const finalNorm = ({ epsilon }: Llama) => rmsNorm("model.norm", epsilon);

const blockNames = ({ layers }: Llama): string[] =>
  Array.from({ length: layers }, (_, layer) => `model.layers.${layer}`);

function layersOf(block: string, epsilon: number) {
  const layer = (name: string) => linear(`${block}.${name}`, { bias: false, inputsFirst: false });
  return {
    attentionNorm: rmsNorm(`${block}.input_layernorm`, epsilon),
    attention: {
      queries: layer("self_attn.q_proj"),
      keys: layer("self_attn.k_proj"),
      values: layer("self_attn.v_proj"),
      output: layer("self_attn.o_proj"),
    },
    mlpNorm: rmsNorm(`${block}.post_attention_layernorm`, epsilon),
    mlp: { gate: layer("mlp.gate_proj"), up: layer("mlp.up_proj"), output: layer("mlp.down_proj") },
  };
}

function parametersOf(model: Llama): ModelParameter[] {
  const { heads, keyValueHeads, headWidth, width, hidden, vocabulary, deviation, padding } = model;
  const blocks = blockNames(model).flatMap((name) => {
    const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name, model.epsilon);
    return [
      ...attentionNorm.parameters(width),
      ...attention.queries.parameters(width, heads * headWidth, deviation),
      ...attention.keys.parameters(width, keyValueHeads * headWidth, deviation),
      ...attention.values.parameters(width, keyValueHeads * headWidth, deviation),
      ...attention.output.parameters(heads * headWidth, width, deviation),
      ...mlpNorm.parameters(width),
      ...mlp.gate.parameters(width, hidden, deviation),
      ...mlp.up.parameters(width, hidden, deviation),
      ...mlp.output.parameters(hidden, width, deviation),
    ];
  });
  return [
    normalTable(TOKENS, [vocabulary, width], deviation, padding),
    ...blocks,
    ...finalNorm(model).parameters(width),
    ...(model.tied ? [] : headOf(model).parameters(width, vocabulary, deviation)),
  ];
}

const rotaryOf = ({ headWidth, ropeTheta, ropeScaling }: Llama) => ({
  headWidth,
  theta: ropeTheta,
  scaling: ropeScaling,
});

function blocksOf(pass: Pass, model: Llama, { sequences, length }: Tokens): Block[] {
  const { heads, keyValueHeads, headWidth, epsilon } = model;
  const prepare = {
    queries: rotation(pass.ops, rotaryOf(model), length, { scale: 1 / Math.sqrt(headWidth) }),
    keys: rotation(pass.ops, rotaryOf(model), length),
  };
  const mask = causalMask(pass.ops, length);
  const groups = { sequences, length, heads, keyValueHeads };
  return blockNames(model).map((name) => {
    const layers = layersOf(name, epsilon);
    const attention = separateAttention(pass, { ...layers.attention, prepare }, mask, groups);
    return preNormBlock(
      pass,
      { norm: layers.attentionNorm, branch: attention },
      { norm: layers.mlpNorm, branch: gatedMlp(pass, layers.mlp) },
    );
  });
}

const computation = nextTokenModel<Llama>({
  embed: ({ ops, theta }, _model, { ids }) => ops.tf.gather(tensorOf(theta, TOKENS), ids),
  embedBackward: ({ ops }, model, dx, { ids }) => ({ [TOKENS]: tokensBackward(ops, dx, ids, model) }),
  blocks: blocksOf,
  norm: finalNorm,
  head: headOf,
});

function decoderOf(model: Llama): DecoderShape {
  const { width, heads, keyValueHeads, headWidth, hidden, vocabulary, epsilon } = model;
  const blocks = blockNames(model).map((name): DecoderBlock => {
    const { attentionNorm, attention, mlpNorm, mlp } = layersOf(name, epsilon);
    return {
      attention: {
        norm: attentionNorm.names,
        projections: [attention.queries.names, attention.keys.names, attention.values.names],
        output: attention.output.names,
      },
      mlp: {
        ...{ type: "swiglu", norm: mlpNorm.names },
        ...{ gate: mlp.gate.names, up: mlp.up.names, output: mlp.output.names },
      },
    };
  });
  return {
    ...{ width, heads, keyHeads: keyValueHeads, headWidth, hidden, vocabulary },
    ...{ tokens: TOKENS, positions: null, frequencies: rotaryFrequencies(rotaryOf(model)) },
    ...{ blocks, norm: finalNorm(model).names, head: headOf(model).names },
  };
}

/** The fields of a Llama config that change the computation; others are let through. */
const configSchema = z.object({
  model_type: z.literal("llama"),
  vocab_size: size.default(32_000),
  max_position_embeddings: size.default(2048),
  hidden_size: size.default(4096),
  intermediate_size: size.default(11_008),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  num_key_value_heads: size.nullable().optional(),
  head_dim: size.nullable().optional(),
  // Two names of one function.
  hidden_act: z.enum(["silu", "swish"]).default("silu"),
  rms_norm_eps: z.number().positive().lt(1).default(1e-6),
  initializer_range: z.number().min(0).max(1).default(0.02),
  ...ropeFields,
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.literal(false).optional(),
  mlp_bias: z.literal(false).optional(),
  ...tokenIdFields({ bos: 1, eos: 2, pad: null }),
});

type Config = z.infer<typeof configSchema>;

export const llama: Family<Llama> = {
  type: "llama",
  masked: false,

  configOf(spec, vocabulary, special = NO_TOKEN_IDS) {
    if (spec.type !== "llama") return wrongModel("llama", spec);
    const { type: _, ...sizes } = spec;
    return {
      ...sizes,
      headWidth: spec.width / spec.heads,
      vocabulary,
      ropeScaling: null,
      epsilon: 1e-6,
      deviation: 0.02,
      padding: special.pad,
      special,
    };
  },

  fromHuggingFace(configJson, what) {
    const config = configFields(configSchema, configJson, what);
    const sizes = sizesOf(config);
    checkSizes(sizes, what);
    return {
      ...sizes,
      ...ropeOf(config),
      tied: config.tie_word_embeddings,
      epsilon: config.rms_norm_eps,
      deviation: config.initializer_range,
      padding: paddingOf(config.pad_token_id, config.vocab_size, what),
      special: tokenIdsOf(config),
    };
  },

  naming: {
    ...PLAIN_NAMING,
    prefix: "model.",
    copies: { "lm_head.weight": TOKENS },
    ignored: /\.rotary_emb\.inv_freq$/,
  },

  parameters: parametersOf,
  files: filesOf,
  decoder: decoderOf,
  ...computation,
};

const sizesOf = (config: Config) => ({
  layers: config.num_hidden_layers,
  heads: config.num_attention_heads,
  keyValueHeads: config.num_key_value_heads ?? config.num_attention_heads,
  headWidth: config.head_dim ?? Math.floor(config.hidden_size / config.num_attention_heads),
  width: config.hidden_size,
  hidden: config.intermediate_size,
  context: config.max_position_embeddings,
  vocabulary: config.vocab_size,
});

function checkSizes(
  { heads, keyValueHeads, headWidth, width }: ReturnType<typeof sizesOf>,
  what: string,
): void {
  const problem = (text: string): never => {
    throw new InvalidInput(`${what}: ${text}`);
  };
  checkHeads(["num_attention_heads", heads], ["hidden_size", width], what);
  if (headWidth % 2 !== 0 || headWidth === 0) problem(`the width of a head must be even, got ${headWidth}`);
  if (heads % keyValueHeads !== 0) {
    problem(`num_key_value_heads must divide num_attention_heads ${heads}, got ${keyValueHeads}`);
  }
}

function filesOf(model: Llama): Record<string, string> {
  const special = fieldsOfTokenIds({ ...(model.special ?? NO_TOKEN_IDS), pad: model.padding });
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: model.vocabulary,
    max_position_embeddings: model.context,
    hidden_size: model.width,
    intermediate_size: model.hidden,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.keyValueHeads,
    head_dim: model.headWidth,
    hidden_act: "silu",
    rms_norm_eps: model.epsilon,
    initializer_range: model.deviation,
    ...fieldsOfRope(model),
    tie_word_embeddings: model.tied,
    attention_bias: false,
    mlp_bias: false,
    attention_dropout: 0,
    ...special,
    torch_dtype: "float32",
  };
  return {
    "config.json": jsonText(config),
    "generation_config.json": jsonText({ ...special, do_sample: true }),
  };
}
