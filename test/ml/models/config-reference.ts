/** Writes config-reference.json: what transformers reads in configs. PS_PYTHON names a Python with it; then format. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { python } from "../../support/python.ts";

export const referenceFile = fileURLToPath(new URL("config-reference.json", import.meta.url));

export type Fields = Readonly<Record<string, unknown>>;

const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4 };

/** Configs that say little, or say it in other ways. */
export const configs: readonly Fields[] = [
  { model_type: "gpt2" },
  { model_type: "gpt2", n_embd: 24, n_inner: 96, activation_function: "gelu_fast", eos_token_id: null },
  { model_type: "gpt2", hidden_size: 48, n_embd: 96, num_hidden_layers: 3, num_attention_heads: 4 },
  {
    model_type: "gpt2",
    max_position_embeddings: 64,
    vocab_size: 320,
    eos_token_id: [1, 2],
    pad_token_id: 999,
  },
  { model_type: "gpt2", tie_word_embeddings: false, bos_token_id: null, layer_norm_epsilon: 1e-5 },
  { model_type: "gpt2", n_embd: null },
  { model_type: "gpt2", n_layer: "2" },
  { model_type: "gpt2", n_layer: 1.5 },
  { model_type: "llama" },
  { model_type: "llama", num_attention_heads: 8, hidden_size: 64, num_key_value_heads: 2, head_dim: 10 },
  { model_type: "llama", rope_theta: 500_000, tie_word_embeddings: true, rms_norm_eps: 1e-5 },
  { model_type: "llama", rope_parameters: null, pad_token_id: -1, bos_token_id: null },
  { model_type: "llama", rope_parameters: { rope_theta: 500_000 } },
  { model_type: "llama", rope_parameters: { rope_theta: 300, rope_type: "default" }, rope_theta: 700 },
  {
    model_type: "llama",
    rope_parameters: { rope_theta: 300, rope_type: "default" },
    rope_scaling: { type: "default" },
    rope_theta: 700,
  },
  { model_type: "llama", rope_parameters: { rope_theta: 300 }, rope_scaling: { rope_type: "default" } },
  { model_type: "llama", rope_parameters: { rope_theta: 300 }, rope_scaling: {} },
  { model_type: "llama", rope_scaling: { type: "linear", rope_type: "default" } },
  { model_type: "llama", rope_scaling: { type: "llama3", ...LLAMA3 } },
  {
    model_type: "llama",
    rope_theta: 500_000,
    rope_scaling: { rope_type: "llama3", ...LLAMA3, original_max_position_embeddings: 512 },
  },
  {
    model_type: "llama",
    rope_parameters: {
      rope_type: "llama3",
      rope_theta: 9e5,
      ...LLAMA3,
      original_max_position_embeddings: 99,
    },
  },
  { model_type: "llama", original_max_position_embeddings: 64, rope_scaling: { type: "llama3", ...LLAMA3 } },
  { model_type: "llama", rope_scaling: { type: "llama3", factor: 8 } },
  { model_type: "llama", attention_bias: null },
  { model_type: "llama", hidden_size: 30 },
  { model_type: "bert" },
  { model_type: "bert", pad_token_id: null, type_vocab_size: 3, layer_norm_eps: 1e-5 },
  { model_type: "bert", hidden_act: "gelu_python", hidden_size: 24, num_attention_heads: 3, pad_token_id: 7 },
  { model_type: "bert", hidden_size: null },
];

const answerSchema = z.object({
  /** Null: transformers refuses it. */
  configs: z.array(z.record(z.string(), z.unknown()).nullable()),
  activations: z.record(z.string(), z.array(z.string())),
});
export type ConfigAnswer = z.infer<typeof answerSchema>;

export const parseAnswer = (json: string): ConfigAnswer => answerSchema.parse(JSON.parse(json));

export function askTransformers(): ConfigAnswer {
  const script = fileURLToPath(new URL("../../python/configs.py", import.meta.url));
  const options = { input: JSON.stringify(configs), encoding: "utf8", maxBuffer: 1 << 26 } as const;
  const { status, stdout, stderr } = spawnSync(python, [script], options);
  if (status !== 0) throw new Error(stderr);
  return parseAnswer(stdout);
}

if (import.meta.main) writeFileSync(referenceFile, JSON.stringify(askTransformers()));
