import { z } from "zod";
import { CorruptData } from "../../protocol/errors.ts";
import { valueAs } from "../../protocol/parse.ts";
import {
  fieldsOfTokenIds,
  jsonText,
  NO_TOKEN_IDS,
  paddingOf,
  size,
  tokenIdFields,
  tokenIdsOf,
  wrongModel,
} from "./config.ts";
import type { Family } from "./family.ts";
import {
  type Llama,
  llamaDecoder,
  llamaLogits,
  llamaLoss,
  llamaLossAndGradient,
  llamaParameters,
} from "./llama.ts";
import type { Llama3Scaling } from "./rotary.ts";

const factor = z.number().positive().finite();

/** `rope_type` is what `type` was called later; both are in use. */
const scalingSchema = z.discriminatedUnion("rope_type", [
  z.object({ rope_type: z.literal("default"), rope_theta: factor.optional() }),
  z.object({
    rope_type: z.literal("llama3"),
    rope_theta: factor.optional(),
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: size,
  }),
]);

/** What of a Llama config changes the computation; fields that only other tools read are let through. */
const configSchema = z.object({
  model_type: z.literal("llama"),
  vocab_size: size,
  max_position_embeddings: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullable().optional(),
  head_dim: size.nullable().optional(),
  hidden_act: z.literal("silu").optional(),
  rms_norm_eps: z.number().positive().lt(1).default(1e-6),
  initializer_range: z.number().min(0).lt(1).default(0.02),
  rope_theta: factor.optional(),
  // Older transformers write the first, newer ones the second.
  rope_scaling: scalingSchema.nullable().optional(),
  rope_parameters: scalingSchema.nullable().optional(),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.literal(false).optional(),
  mlp_bias: z.literal(false).optional(),
  pretraining_tp: z.literal(1).optional(),
  ...tokenIdFields,
});

type Config = z.infer<typeof configSchema>;

export const llamaFamily: Family<Llama> = {
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
    const config = valueAs(configSchema, configJson, what);
    const rope = config.rope_parameters ?? config.rope_scaling ?? { rope_type: "default" as const };
    const model = { ...sizesOf(config), ropeTheta: rope.rope_theta ?? config.rope_theta ?? 10_000 };
    checkSizes(model, what);
    return {
      ...model,
      ropeScaling: rope.rope_type === "llama3" ? scalingOf(rope) : null,
      tied: config.tie_word_embeddings,
      epsilon: config.rms_norm_eps,
      deviation: config.initializer_range,
      padding: paddingOf(config.pad_token_id ?? null, config.vocab_size, what),
      special: tokenIdsOf(config),
    };
  },

  parameters: llamaParameters,
  files: llamaFiles,
  lossAndGradient: llamaLossAndGradient,
  loss: llamaLoss,
  logits: llamaLogits,
  decoder: llamaDecoder,
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
    throw new CorruptData(`${what}: ${text}`);
  };
  if (width % heads !== 0) problem(`num_attention_heads must divide hidden_size ${width}, got ${heads}`);
  if (headWidth % 2 !== 0 || headWidth === 0) problem(`the width of a head must be even, got ${headWidth}`);
  if (heads % keyValueHeads !== 0) {
    problem(`num_key_value_heads must divide num_attention_heads ${heads}, got ${keyValueHeads}`);
  }
}

function scalingOf(rope: Extract<z.infer<typeof scalingSchema>, { rope_type: "llama3" }>): Llama3Scaling {
  return {
    factor: rope.factor,
    lowFrequencyFactor: rope.low_freq_factor,
    highFrequencyFactor: rope.high_freq_factor,
    originalContext: rope.original_max_position_embeddings,
  };
}

function llamaFiles(model: Llama): Record<string, string> {
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
    rope_theta: model.ropeTheta,
    rope_scaling: model.ropeScaling && ropeScalingText(model.ropeScaling),
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

const ropeScalingText = (scaling: Llama3Scaling) => ({
  rope_type: "llama3",
  factor: scaling.factor,
  low_freq_factor: scaling.lowFrequencyFactor,
  high_freq_factor: scaling.highFrequencyFactor,
  original_max_position_embeddings: scaling.originalContext,
});
