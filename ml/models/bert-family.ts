import { z } from "zod";
import { CorruptData } from "../../protocol/errors.ts";
import { valueAs } from "../../protocol/parse.ts";
import { type Bert, bertDropout, bertLogits, bertLoss, bertLossAndGradient, bertParameters } from "./bert.ts";
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

/** What of a BERT config changes the computation; fields that only other tools read are let through. */
const configSchema = z.object({
  model_type: z.literal("bert"),
  vocab_size: size,
  max_position_embeddings: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  type_vocab_size: size.default(2),
  hidden_act: z.literal("gelu").default("gelu"),
  layer_norm_eps: z.number().positive().lt(1).default(1e-12),
  initializer_range: z.number().min(0).lt(1).default(0.02),
  position_embedding_type: z.literal("absolute").optional(),
  is_decoder: z.literal(false).optional(),
  add_cross_attention: z.literal(false).optional(),
  tie_word_embeddings: z.literal(true).optional(),
  ...tokenIdFields,
});

export const bertFamily: Family<Bert> = {
  type: "bert",
  masked: true,

  configOf(spec, vocabulary, special = NO_TOKEN_IDS) {
    if (spec.type !== "bert") return wrongModel("bert", spec);
    const { layers, heads, width, hidden, context, dropout, recompute } = spec;
    const sizes = { layers, heads, width, hidden, context, vocabulary, types: 2 };
    return { ...sizes, epsilon: 1e-12, deviation: 0.02, padding: special.pad, special, dropout, recompute };
  },

  fromHuggingFace(configJson, what) {
    const config = valueAs(configSchema, configJson, what);
    const [heads, width] = [config.num_attention_heads, config.hidden_size];
    if (width % heads !== 0) {
      throw new CorruptData(`${what}: num_attention_heads must divide hidden_size ${width}, got ${heads}`);
    }
    const vocabulary = config.vocab_size;
    // transformers takes a missing padding token for token 0.
    const pad = config.pad_token_id === undefined ? 0 : config.pad_token_id;
    const padding = paddingOf(pad, vocabulary, what);
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

  parameters: bertParameters,
  files: bertFiles,
  dropout: bertDropout,
  lossAndGradient: bertLossAndGradient,
  loss: bertLoss,
  logits: bertLogits,
};

function bertFiles(model: Bert): Record<string, string> {
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
