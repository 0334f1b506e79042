import { z } from "zod";
import { CorruptData } from "../../protocol/errors.ts";
import { valueAs } from "../../protocol/parse.ts";
import {
  fieldsOfTokenIds,
  jsonText,
  NO_TOKEN_IDS,
  size,
  type TokenIds,
  tokenIdFields,
  tokenIdsOf,
  wrongModel,
} from "./config.ts";
import type { Family } from "./family.ts";
import {
  type Gpt2,
  gpt2Decoder,
  gpt2Dropout,
  gpt2Logits,
  gpt2Loss,
  gpt2LossAndGradient,
  gpt2Parameters,
  LAYER_NORM_EPSILON,
} from "./gpt2.ts";

/** What of a GPT-2 config changes the computation; fields that only other tools read are let through. */
const configSchema = z.object({
  model_type: z.literal("gpt2"),
  vocab_size: size,
  n_positions: size,
  n_embd: size,
  n_layer: size,
  n_head: size,
  n_inner: z.null().optional(),
  activation_function: z.literal("gelu_new"),
  layer_norm_epsilon: z.literal(LAYER_NORM_EPSILON),
  scale_attn_weights: z.literal(true).optional(),
  scale_attn_by_inverse_layer_idx: z.literal(false).optional(),
  tie_word_embeddings: z.literal(true).optional(),
  ...tokenIdFields,
});

type Config = Gpt2 & { readonly special?: TokenIds };

export const gpt2Family: Family<Config> = {
  type: "gpt2",
  masked: false,

  configOf(spec, vocabulary, special = NO_TOKEN_IDS) {
    if (spec.type !== "gpt2") return wrongModel("gpt2", spec);
    const { layers, heads, width, context, dropout, recompute } = spec;
    return { layers, heads, width, context, vocabulary, dropout, recompute, special };
  },

  fromHuggingFace(configJson, what) {
    const config = valueAs(configSchema, configJson, what);
    if (config.n_embd % config.n_head !== 0) {
      throw new CorruptData(`${what}: n_head must divide n_embd ${config.n_embd}, got ${config.n_head}`);
    }
    return {
      layers: config.n_layer,
      heads: config.n_head,
      width: config.n_embd,
      context: config.n_positions,
      vocabulary: config.vocab_size,
      special: tokenIdsOf(config),
    };
  },

  parameters: gpt2Parameters,
  files: gpt2Files,
  dropout: gpt2Dropout,
  lossAndGradient: (ops, config, theta, { tokens, targets, dropout }) =>
    gpt2LossAndGradient(ops, config, theta, tokens, targets, dropout),
  loss: (ops, config, theta, { tokens, targets }) => gpt2Loss(ops, config, theta, tokens, targets),
  logits: gpt2Logits,
  decoder: gpt2Decoder,
};

function gpt2Files(model: Config): Record<string, string> {
  const { layers, heads, width, context, vocabulary, dropout = 0 } = model;
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
    layer_norm_epsilon: LAYER_NORM_EPSILON,
    initializer_range: 0.02,
    resid_pdrop: dropout,
    embd_pdrop: dropout,
    attn_pdrop: dropout,
    scale_attn_weights: true,
    tie_word_embeddings: true,
    ...special,
    torch_dtype: "float32",
  };
  return {
    "config.json": jsonText(config),
    "generation_config.json": jsonText({ ...special, do_sample: true }),
  };
}
