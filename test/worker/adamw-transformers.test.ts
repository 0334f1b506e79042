import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { stepShard, type Vectors } from "../../functions/aggregator/optimizer.ts";
import { gatherWindows, splitText, trainingStarts } from "../../ml/data/batches.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import { modelDescription } from "../../ml/models/describe.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { bytesOf } from "../../protocol/digest.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { decayRanges, type Layout, planLayout } from "../../protocol/layout.ts";
import { slotsOf } from "../../protocol/optimizer-spec.ts";
import { encodeHeader } from "../../protocol/safetensors.ts";
import { initialParameters } from "../../worker/initial.ts";
import { createTrainer } from "../../worker/trainer.ts";
import { datasetOf, tinyJob } from "../support/models.ts";
import { python, withoutModules } from "../support/python.ts";

/** Whole trainings: two ranks here, through the aggregators' optimizer, against one PyTorch process with both. */
const skip = withoutModules("torch", "transformers");
const STEPS = 50;
const SIZES = { layers: 2, heads: 4, width: 32, context: 16 };
const models = [
  { type: "gpt2", ...SIZES },
  { type: "llama", ...SIZES, keyValueHeads: 2, hidden: 48, tied: false },
];
const OPTIMIZER = { type: "adamw", learningRate: 3e-3, beta2: 0.99, weightDecay: 0.1 };

const directory = mkdtempSync(join(tmpdir(), "ps-adamw-"));
after(() => rmSync(directory, { recursive: true, force: true }));

for (const model of models) {
  test(`${STEPS} steps of 2-rank AdamW on a ${model.type} follow PyTorch's losses to 1e-3`, {
    skip,
  }, async () => {
    const text = readFileSync(new URL("../../examples/data/tinyshakespeare.txt", import.meta.url)).subarray(
      0,
      20_000,
    );
    const dataset = await datasetOf(text);
    const spec = tinyJob({ model, optimizer: OPTIMIZER, ranks: 2, batch: 4, steps: STEPS });
    const description = modelDescription(spec, dataset);
    const layout = planLayout(description.parameters, 1, spec.ranks);
    const theta = initialParameters(description, layout, spec.seed);
    for (const [name, content] of Object.entries(description.files))
      writeFileSync(join(directory, name), content);
    const weights = Buffer.concat([encodeHeader(layout.tensors, { format: "pt" }), bytesOf(theta)]);
    writeFileSync(join(directory, "model.safetensors"), weights);
    const expected = trainInPyTorch(spec, dataset);
    const losses = await train(spec, layout, theta, dataset);
    assert.ok((losses[0] ?? 0) - (losses.at(-1) ?? 0) > 0.8, `learns: ${losses[0]} to ${losses.at(-1)}`);
    for (const [step, loss] of expected.entries()) {
      const got = losses[step] ?? Number.NaN;
      assert.ok(Math.abs(got - loss) <= 1e-3 * loss, `step ${step}: ${got}, PyTorch ${loss}`);
    }
  });
}

async function train(
  spec: JobSpec,
  layout: Layout,
  theta: Float32Array,
  dataset: Dataset,
): Promise<number[]> {
  const backend = await loadBackend("auto", { threads: 1 });
  const trainer = createTrainer({ backend, spec, layout, dataset });
  const decaying = decayRanges(layout, { start: 0, end: layout.parameters });
  const blank = (): Vectors => ({
    parameters: new Float32Array(layout.parameters),
    slots: slotsOf(spec.optimizer).map(() => new Float32Array(layout.parameters)),
  });
  let current = { ...blank(), parameters: theta };
  const losses: number[] = [];
  for (let step = 0; step < spec.steps; step++) {
    const first = await trainer.gradient(current.parameters, step, 0);
    const second = await trainer.gradient(current.parameters, step, 1);
    losses.push((first.loss + second.loss) / 2);
    const next = blank();
    const gradients = [first.gradient, second.gradient];
    stepShard({ optimizer: spec.optimizer, step, gradients, reduce: "mean", decaying, current, next });
    current = next;
  }
  return losses;
}

/** The same batches, both ranks' rows in one. */
function trainInPyTorch(spec: JobSpec, dataset: Dataset): number[] {
  const { context } = SIZES;
  const { training } = splitText(dataset.meta, spec.data.type === "text" ? spec.data.heldOut : 0);
  const rowsOf = (flat: Int32Array) =>
    Array.from({ length: flat.length / context }, (_, i) => [
      ...flat.subarray(i * context, (i + 1) * context),
    ]);
  const batches = Array.from({ length: spec.steps }, (_, step) => {
    const starts = [0, 1].flatMap((rank) =>
      trainingStarts(spec, training, context, { step, rank, micro: 0 }),
    );
    const { inputs, targets } = gatherWindows(dataset.tokens, starts, context);
    return { inputs: rowsOf(inputs), targets: rowsOf(targets) };
  });
  const script = fileURLToPath(new URL("../python/train.py", import.meta.url));
  const result = spawnSync(python, [script], {
    input: JSON.stringify({ directory, optimizer: spec.optimizer, batches }),
    encoding: "utf8",
    maxBuffer: 1 << 26,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  return z.array(z.number()).parse(JSON.parse(result.stdout));
}
