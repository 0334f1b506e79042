import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { python, withoutModules } from "../../support/python.ts";
import { folder, run } from "./pretrained-jobs.ts";

const answerSchema = z.array(
  z.object({
    architecture: z.string(),
    problems: z.array(z.string()),
    dtype: z.string(),
    same: z.record(z.string(), z.boolean()),
    ids: z.array(z.number()),
  }),
);

function inPython(script: string, args: readonly string[], request: unknown): unknown {
  const path = fileURLToPath(new URL(`../../python/${script}`, import.meta.url));
  const result = spawnSync(python, [path, ...args], {
    input: JSON.stringify(request),
    encoding: "utf8",
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout === "" ? null : JSON.parse(result.stdout);
}

test("a Llama that transformers saved comes back to it: tied or not, sharded, scaled, in half precision", {
  skip: withoutModules("torch", "transformers"),
}, async () => {
  const made = z.record(z.string(), z.object({ files: z.array(z.string()), dtype: z.string() }));
  const directories = made.parse(inPython("llama_directories.py", [folder], null));
  assert.deepEqual(Object.keys(directories), ["llama-tied", "llama-untied"]);
  const freeze = ["embed_tokens.*", "layers.0.*", "norm.*"];
  const requests = [];
  for (const [name, { files, dtype }] of Object.entries(directories)) {
    assert.ok(files.length > 1 && files.includes("model.safetensors.index.json"), files.join());
    assert.equal(dtype, "torch.bfloat16");
    const { directory } = await run(`${name}-tuned`, { model: { from: name }, freeze });
    requests.push({ auto: "AutoModelForCausalLM", before: join(folder, name), after: directory });
  }
  const answers = answerSchema.parse(inPython("weights.py", [], requests));
  for (const { architecture, problems, dtype, same, ids } of answers) {
    assert.deepEqual([architecture, problems, dtype], ["LlamaForCausalLM", [], "torch.float32"]);
    const frozen = (name: string) => /embed_tokens|\.layers\.0\.|model\.norm/.test(name);
    for (const [name, is] of Object.entries(same)) assert.equal(is, frozen(name), name);
    assert.ok(Object.values(same).includes(true) && Object.values(same).includes(false));
    assert.equal(ids[0], 0, "the token that begins a text");
  }
  assert.deepEqual(
    answers.map(({ same }) => "lm_head.weight" in same),
    [false, true],
  );
});

test("transformers loads what was trained: same class, float32, and equal weights where they were frozen", {
  skip: withoutModules("torch", "transformers"),
}, async () => {
  const gpt2 = await run("there-and-back", { model: { from: "gpt2-BF16" }, freeze: ["wte.*"] });
  const bert = await run("there-and-back-bert", { model: { from: "bert-BF16" }, freeze: ["embeddings.*"] });
  const requests = [
    { auto: "AutoModelForCausalLM", before: join(folder, "gpt2-BF16"), after: gpt2.directory },
    { auto: "AutoModelForMaskedLM", before: join(folder, "bert-BF16"), after: bert.directory },
  ];
  const answers = answerSchema.parse(inPython("weights.py", [], requests));
  assert.deepEqual(
    answers.map(({ architecture, problems, dtype }) => [architecture, problems, dtype]),
    [
      ["GPT2LMHeadModel", [], "torch.float32"],
      ["BertForMaskedLM", [], "torch.float32"],
    ],
  );
  for (const [i, pattern] of [/wte/, /embeddings/].entries()) {
    for (const [name, same] of Object.entries(answers[i]?.same ?? {}))
      assert.equal(same, pattern.test(name), name);
    assert.equal(answers[i]?.ids.length, "science".length);
  }
});
