import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Bert } from "../../../ml/models/bert.ts";
import type { ModelConfig } from "../../../ml/models/family.ts";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import type { Llama } from "../../../ml/models/llama.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { InvalidInput } from "../../../protocol/errors.ts";
import { required } from "../../../protocol/required.ts";
import { withoutModules } from "../../support/python.ts";
import { askTransformers, configs, type Fields, parseAnswer, referenceFile } from "./config-reference.ts";

/** Configs say what they say in transformers: its answers are in a file, and are checked. */
const reference = parseAnswer(readFileSync(referenceFile, "utf8"));

const read = (config: Fields): ModelConfig =>
  familyOf(String(config.model_type)).fromHuggingFace(config, "config.json");

/** What was read, in the names of transformers. */
const named: Readonly<Record<string, (config: ModelConfig, theirs: Fields) => Fields>> = {
  gpt2: (config, { n_inner, activation_function }) => {
    const { layers, heads, width, context, vocabulary, special, tied = true } = config as Gpt2;
    return {
      ...{ vocab_size: vocabulary, n_positions: context, n_embd: width, n_layer: layers, n_head: heads },
      ...{ n_inner: n_inner === null ? null : 4 * width, activation_function, layer_norm_epsilon: 1e-5 },
      ...{ bos_token_id: special?.bos, eos_token_id: special?.eos, pad_token_id: special?.pad },
      tie_word_embeddings: tied,
    };
  },
  llama: (config) => {
    const llama = config as Llama;
    const { special, ropeTheta, ropeScaling } = llama;
    const scaling = ropeScaling && {
      factor: ropeScaling.factor,
      low_freq_factor: ropeScaling.lowFrequencyFactor,
      high_freq_factor: ropeScaling.highFrequencyFactor,
      original_max_position_embeddings: ropeScaling.originalContext,
    };
    const pad = special?.pad ?? null;
    assert.equal(llama.padding, pad === -1 ? llama.vocabulary - 1 : pad);
    return {
      ...{ vocab_size: llama.vocabulary, max_position_embeddings: llama.context, hidden_size: llama.width },
      ...{ intermediate_size: llama.hidden, num_hidden_layers: llama.layers, head_dim: llama.headWidth },
      ...{ num_attention_heads: llama.heads, num_key_value_heads: llama.keyValueHeads },
      ...{ rms_norm_eps: llama.epsilon, initializer_range: llama.deviation, tie_word_embeddings: llama.tied },
      ...{ bos_token_id: special?.bos, eos_token_id: special?.eos, pad_token_id: special?.pad },
      rope_parameters: { rope_type: scaling ? "llama3" : "default", rope_theta: ropeTheta, ...scaling },
    };
  },
  bert: (config) => {
    const bert = config as Bert;
    const { special } = bert;
    assert.equal(bert.padding, special?.pad ?? null);
    return {
      ...{ vocab_size: bert.vocabulary, max_position_embeddings: bert.context, hidden_size: bert.width },
      ...{ intermediate_size: bert.hidden, num_hidden_layers: bert.layers, num_attention_heads: bert.heads },
      ...{ type_vocab_size: bert.types, layer_norm_eps: bert.epsilon, initializer_range: bert.deviation },
      ...{ bos_token_id: special?.bos, eos_token_id: special?.eos, pad_token_id: special?.pad },
    };
  },
};

/** `type` is the older name of `rope_type`. */
function withoutOldNames(theirs: Fields): Fields {
  if (!theirs.rope_parameters) return theirs;
  const { type: _, ...rope } = theirs.rope_parameters as Fields;
  return { ...theirs, rope_parameters: rope };
}

for (const [i, config] of configs.entries()) {
  const theirs = reference.configs[i] ?? null;
  test(`${JSON.stringify(config)} is ${theirs === null ? "refused" : "read"} as by transformers`, () => {
    if (theirs === null) assert.throws(() => read(config), InvalidInput);
    else {
      const ours = required(named[String(config.model_type)], "its names");
      assert.deepEqual(ours(read(config), theirs), withoutOldNames(theirs));
    }
  });
}

for (const [type, field, name] of [
  ["gpt2", "activation_function", "gelu_new"],
  ["bert", "hidden_act", "gelu"],
  ["llama", "hidden_act", "silu"],
] as const) {
  test(`${type}: every spelling of ${name} in transformers is known, and no other function`, () => {
    const same = required(reference.activations[name], name);
    const all = new Set([
      ...Object.values(reference.activations).flat(),
      "relu",
      "quick_gelu",
      "gelu_10",
      "tanh",
    ]);
    for (const activation of all) {
      const config = { model_type: type, [field]: activation };
      if (same.includes(activation)) read(config);
      else
        assert.throws(() => read(config), { name: "InvalidInput", message: new RegExp(`${field} must be`) });
    }
  });
}

test("transformers still says what the file says", { skip: withoutModules("transformers", "torch") }, () => {
  assert.deepEqual(askTransformers(), reference);
});

test("the file has an answer to every config", () => {
  assert.equal(reference.configs.length, configs.length);
});
