import assert from "node:assert/strict";
import { test } from "node:test";
import type { Folder } from "../../../ml/huggingface/folder.ts";
import { modelFilesFrom } from "../../../ml/huggingface/model-files.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { LLAMA } from "./fixture.ts";

/** What comes out of a Llama that came in: transformers 4 and 5 must read the same rotation in it. */

const empty: Folder = { name: "it", readSmall: async () => null, open: async () => null };
const llama = familyOf("llama");

async function restated(changes: Record<string, unknown>): Promise<Record<string, unknown>> {
  const own = JSON.parse(llama.files(LLAMA)["config.json"] ?? "");
  const { rope_theta: _, rope_scaling: __, rope_parameters: ___, ...rest } = own;
  const config = { ...rest, ...changes };
  const described = { parameters: [], files: llama.files(llama.fromHuggingFace(config, "it")) };
  const files = await modelFilesFrom(empty, config, described);
  return JSON.parse(new TextDecoder().decode(files["config.json"]));
}

const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

test("a base that came in rope_parameters only comes out in both spellings, as does one in rope_theta only", async () => {
  for (const came of [
    { rope_parameters: { rope_theta: 500_000, rope_type: "default" } },
    { rope_theta: 500_000 },
  ]) {
    const config = await restated(came);
    assert.equal(config.rope_theta, 500_000);
    assert.equal(config.rope_scaling, null);
    assert.deepEqual(config.rope_parameters, { rope_type: "default", rope_theta: 500_000 });
  }
});

test("a stretched rotation comes out in both spellings", async () => {
  const came = { rope_parameters: { rope_theta: 500_000, rope_type: "llama3", ...scaling } };
  const config = await restated(came);
  assert.deepEqual(config.rope_scaling, { rope_type: "llama3", ...scaling });
  assert.deepEqual(config.rope_parameters, came.rope_parameters);
  assert.equal(config.rope_theta, 500_000);
});

test("fields that no family knows stay as they came", async () => {
  assert.deepEqual((await restated({ mine: [1] })).mine, [1]);
});
