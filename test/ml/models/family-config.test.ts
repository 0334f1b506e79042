import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bert } from "../../../ml/models/bert.ts";
import type { ModelConfig } from "../../../ml/models/family.ts";
import { rotaryFrequencies } from "../../../ml/models/layers/rotary.ts";
import type { Llama } from "../../../ml/models/llama.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { planLayout } from "../../../protocol/layout.ts";
import { elements } from "../../../protocol/safetensors.ts";
import { initialParameters } from "../../../worker/initial.ts";
import { samples } from "./family-samples.ts";

/** Hugging Face configs read and written, and initial parameters. */

const special = { bos: 1, eos: [2, 3], pad: 4 };

const written = (type: string, config: ModelConfig): Record<string, unknown> =>
  JSON.parse(familyOf(type).files(config)["config.json"] ?? "");

for (const { title, family, config } of samples) {
  test(`${title}: what is written is read again, special tokens too`, () => {
    const full = "padding" in config ? { ...config, special, padding: 4 } : { ...config, special };
    assert.deepEqual({ ...full, ...family.fromHuggingFace(written(family.type, full), "it") }, full);
  });
}

const sampleOf = (type: string): ModelConfig =>
  samples.find(({ family }) => family.type === type)?.config ?? assert.fail(type);

/** What a changed config of a sample says. */
const refusals: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  ["gpt2", { activation_function: "relu" }, /activation_function must be .*gelu_new.*, got /],
  ["gpt2", { n_inner: 61 }, /n_inner must be 4 times n_embd \(60\) or null, got 61/],
  ["gpt2", { layer_norm_epsilon: 1e-6 }, /layer_norm_epsilon must be 0.00001, got 0.000001/],
  [
    "gpt2",
    { scale_attn_by_inverse_layer_idx: true },
    /scale_attn_by_inverse_layer_idx must be false, got true/,
  ],
  ["gpt2", { add_cross_attention: true }, /add_cross_attention must be false, got true/],
  ["gpt2", { n_embd: null }, /n_embd must be .* number, got null/],
  ["gpt2", { n_layer: "2" }, /n_layer must be .* number, got "2"/],
  ["gpt2", { eos_token_id: "end" }, /eos_token_id must be the id of a token or a list of ids, got "end"/],
  ["gpt2", { n_head: 4 }, /n_head must divide n_embd 15, got 4/],
  ["gpt2", { n_layer: 1e12 }, /n_layer/],
  ["llama", { attention_bias: true }, /attention_bias must be .*false.*, got /],
  ["llama", { mlp_bias: true }, /mlp_bias must be .*false.*, got /],
  ["llama", { hidden_act: "gelu" }, /hidden_act must be .*silu.*, got /],
  ["llama", { num_key_value_heads: 2 }, /num_key_value_heads must divide num_attention_heads 3, got 2/],
  ["llama", { head_dim: 7 }, /width of a head must be even, got 7/],
  ["llama", { rope_scaling: { rope_type: "yarn", factor: 4 } }, /rope_scaling.rope_type/],
  ["llama", { rope_scaling: { rope_type: "llama3", factor: 4 } }, /rope_scaling.low_freq_factor/],
  [
    "llama",
    { rope_parameters: { type: "linear", factor: 4 }, rope_scaling: {} },
    /rope_parameters.rope_type must be/,
  ],
  [
    "llama",
    { rope_parameters: { full_attention: { rope_theta: 5 } }, rope_scaling: null },
    /full_attention must be/,
  ],
  ["llama", { partial_rotary_factor: 0.5 }, /partial_rotary_factor must be 1, got 0.5/],
  ["llama", { rope_theta: null }, /rope_theta must be .*number, got null/],
  ["llama", { rms_norm_eps: -1 }, /rms_norm_eps/],
  ["llama", { vocab_size: 0 }, /vocab_size/],
  ["llama", { pad_token_id: 19 }, /pad_token_id must be below vocab_size 19, got 19/],
  ["bert", { hidden_act: "relu" }, /hidden_act must be .*gelu.*, got /],
  ["bert", { position_embedding_type: "relative_key" }, /position_embedding_type must be .*absolute.*, got /],
  ["bert", { is_decoder: true }, /is_decoder must be .*false.*, got /],
  ["bert", { tie_word_embeddings: false }, /tie_word_embeddings must be .*true.*, got /],
  ["bert", { pad_token_id: 23 }, /pad_token_id must be below vocab_size 23, got 23/],
  ["bert", { num_attention_heads: 4 }, /num_attention_heads must divide hidden_size 15, got 4/],
];

for (const [type, change, message] of refusals) {
  test(`${type}: a config with ${JSON.stringify(change)} is refused by that name`, () => {
    const config = { ...written(type, sampleOf(type)), ...change };
    assert.throws(() => familyOf(type).fromHuggingFace(config, "the config"), {
      name: "InvalidInput",
      message,
    });
  });
}

test("a llama config of older and of newer transformers says the same", () => {
  const scaling = {
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const { rope_theta: _, rope_scaling: __, ...rest } = written("llama", sampleOf("llama"));
  const read = (rope: Record<string, unknown>) =>
    familyOf("llama").fromHuggingFace({ ...rest, ...rope }, "it");
  const older = read({ rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...scaling } });
  const newer = read({ rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...scaling } });
  assert.deepEqual(older, newer);
  assert.equal((older as Llama).ropeTheta, 500_000);
  assert.equal((older as Llama).ropeScaling?.originalContext, 8192);
});

test("llama3's scaling keeps short waves, stretches long ones and blends those between", () => {
  const scaling = { factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 8192 };
  const options = { headWidth: 128, theta: 500_000, scaling: null };
  const plain = rotaryFrequencies(options);
  const ratios = rotaryFrequencies({ ...options, scaling }).map(
    (frequency, i) => (plain[i] ?? 0) / frequency,
  );
  assert.equal(ratios[0], 1);
  assert.equal(ratios[63], 8);
  const between = ratios.filter((ratio) => ratio > 1.0001 && ratio < 7.999);
  assert.ok(between.length >= 5 && between.every((ratio, i) => i === 0 || ratio > (between[i - 1] ?? 0)));
});

for (const type of ["llama", "bert"]) {
  test(`${type}: matrices start with deviation 0.02, norms at 1, biases and the padding token's row at 0`, () => {
    const config = { ...sampleOf(type), width: 96, hidden: 100, headWidth: 32, padding: 4 } as Llama | Bert;
    const parameters = familyOf(type).parameters(config);
    const layout = planLayout(parameters, 1, 1);
    const theta = initialParameters({ parameters }, layout, 1);
    for (const { name, shape, offset } of layout.tensors) {
      const values = theta.subarray(offset, offset + elements(shape));
      if (shape.length === 1) {
        const start = name.endsWith("bias") ? 0 : 1;
        assert.ok(
          values.every((value) => value === start),
          name,
        );
        continue;
      }
      const deviation = Math.hypot(...values) / Math.sqrt(values.length);
      assert.ok(Math.abs(deviation - 0.02) < 0.003, `${name}: ${deviation}`);
      if (!/word_embeddings|embed_tokens/.test(name)) continue;
      const zeros = [...values.entries()].filter(([, value]) => value === 0);
      assert.deepEqual([zeros[0]?.[0], zeros.length], [4 * 96, 96], name);
    }
  });
}
