import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Gpt2, gpt2 } from "../../../ml/models/gpt2.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { assertClose, TEXT, writeCheckpoint } from "../../support/models.ts";
import { python, withoutModules } from "../../support/python.ts";
import { readCheckpoint } from "../huggingface/read-checkpoint.ts";

/** The checkpoint format and the model against what everyone else uses. PS_PYTHON names the Python to use. */
const skip = withoutModules("torch", "transformers");

const answerSchema = z.object({
  architecture: z.string(),
  missing: z.array(z.string()),
  unexpected: z.array(z.string()),
  mismatched: z.array(z.string()),
  logits: z.array(z.number()),
  loss: z.number(),
  gradients: z.record(z.string(), z.array(z.number())),
  ids: z.array(z.number()),
  decoded: z.string(),
});

const directory = mkdtempSync(join(tmpdir(), "ps-transformers-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const text = `${TEXT}\n\n  two  spaces , a comma ; don't !\n`;
const inputs = [
  [1, 5, 2, 0, 7, 3, 3],
  [9, 4, 4, 11, 0, 1, 6],
];
const targets = [
  [5, 2, 0, 7, 3, 3, 8],
  [4, 4, 11, 0, 1, 6, 2],
];

let answer: z.infer<typeof answerSchema>;
let warnings = "";

before(async () => {
  if (skip) return;
  await writeCheckpoint(directory, text);
  const script = fileURLToPath(new URL("../../python/reference.py", import.meta.url));
  const result = spawnSync(python, [script, directory], {
    input: JSON.stringify({ text, inputs, targets }),
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  warnings = result.stderr;
  answer = answerSchema.parse(JSON.parse(result.stdout));
});

test("transformers loads our checkpoint as GPT2LMHeadModel, with no key missing or left over", {
  skip,
}, () => {
  assert.equal(answer.architecture, "GPT2LMHeadModel");
  assert.deepEqual([answer.missing, answer.unexpected, answer.mismatched], [[], [], []]);
  assert.doesNotMatch(warnings, /newly initialized|not used|unexpected|deprecat/i);
});

test("AutoTokenizer gives our ids and decodes to the same text, spaces and newlines too", {
  skip,
}, async () => {
  const { tokenizer } = await readCheckpoint(directory);
  assert.deepEqual(answer.ids, tokenizer.encode(text));
  assert.equal(answer.decoded, text);
});

test("PyTorch's logits, loss and gradients equal ours", { skip }, async () => {
  const { tf } = await loadBackend("auto", { threads: 1 });
  const { config, parameters } = await readCheckpoint(directory);
  const model = config as Gpt2;
  const ops = opsOf(tf);
  tf.tidy(() => {
    const theta = Object.fromEntries(parameters.map((p) => [p.name, tf.tensor(p.values, [...p.shape])]));
    const ids = tf.tensor1d(inputs.flat(), "int32");
    const tokens = { ids, sequences: inputs.length, length: inputs[0]?.length ?? 0 };
    const logits = gpt2.logits(ops, model, theta, tokens).dataSync();
    for (const [i, logit] of answer.logits.entries()) {
      assert.ok(
        Math.abs((logits[i] ?? Number.NaN) - logit) <= 1e-4,
        `logit ${i}: ${logits[i]}, PyTorch ${logit}`,
      );
    }
    const next = tf.tensor1d(targets.flat(), "int32");
    const { loss, gradient } = gpt2.lossAndGradient(ops, model, theta, { tokens, targets: next });
    assertClose(loss, [answer.loss], 1e-5, "loss");
    assert.deepEqual(Object.keys(gradient).sort(), Object.keys(answer.gradients).sort());
    for (const [name, expected] of Object.entries(answer.gradients)) {
      assertClose(gradient[name] ?? [], expected, 1e-3, name);
    }
  });
});
