import assert from "node:assert/strict";
import { test } from "node:test";
import { rowsOf } from "../../ml/data/batches.ts";
import { examplesOf, solutionOf } from "../../ml/data/linear.ts";
import { modelDescription } from "../../ml/models/describe.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { type Layout, planLayout } from "../../protocol/layout.ts";
import { initialParameters } from "../../worker/initial.ts";
import { createTrainer } from "../../worker/trainer.ts";
import { assertClose, datasetOf, normals, TEXT, tinyJob } from "../support/models.ts";

const backend = await loadBackend("auto", { threads: 1 });
const { tf } = backend;
const dataset = await datasetOf(TEXT.repeat(3));

function setUp(changes: Record<string, unknown> = {}, shards = 1) {
  const spec = tinyJob(changes);
  const data = spec.model.type === "gpt2" ? dataset : null;
  const description = modelDescription(spec, data);
  const layout = planLayout(description.parameters, shards, spec.ranks);
  const theta = initialParameters(description, layout, spec.seed);
  return { spec, layout, theta, trainer: createTrainer({ backend, spec, layout, dataset: data }) };
}

const LINEAR = {
  model: { type: "linear", inputs: 3, outputs: 2 },
  data: { type: "linear", examples: 50 },
  batch: 4,
};

const norm = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));

const placeOf = (layout: Layout, name: string) => {
  const tensor = layout.tensors.find((candidate) => candidate.name === name);
  assert.ok(tensor, name);
  return { start: tensor.offset, end: tensor.offset + tensor.shape.reduce((a, b) => a * b, 1) };
};

test("initial parameters are the same for any number of shards", () => {
  assert.deepEqual(setUp({}, 1).theta, setUp({}, 5).theta);
});

test("a tensor's initial values depend on the seed and its name, not on the tensors beside it", () => {
  const [small, deep, other] = [
    setUp(),
    setUp({ model: { type: "gpt2", layers: 3, heads: 2, width: 12, context: 8 } }),
    setUp({ seed: 2 }),
  ];
  const values = ({ theta, layout }: typeof small, name: string) => {
    const { start, end } = placeOf(layout, name);
    return theta.subarray(start, end);
  };
  const matrix = "transformer.h.1.attn.c_attn.weight";
  assert.deepEqual(values(small, matrix), values(deep, matrix));
  assert.notDeepEqual(values(small, matrix), values(other, matrix));
  assert.notDeepEqual(values(small, matrix), values(small, "transformer.h.0.attn.c_attn.weight"));
});

test("initial parameters have GPT-2's distributions", () => {
  const { theta, layout } = setUp({ model: { type: "gpt2", layers: 2, heads: 2, width: 64, context: 32 } });
  const deviation = (name: string) => {
    const { start, end } = placeOf(layout, `transformer.${name}`);
    return norm(theta.subarray(start, end)) / Math.sqrt(end - start);
  };
  for (const name of ["wte", "wpe", "h.0.attn.c_attn", "h.1.mlp.c_fc"]) {
    assertClose([deviation(`${name}.weight`)], [0.02], 0.05, name);
  }
  // Two residual additions in each of the two blocks.
  for (const name of ["h.0.attn.c_proj", "h.1.mlp.c_proj"]) {
    assertClose([deviation(`${name}.weight`)], [0.01], 0.05, name);
  }
  assert.equal(deviation("ln_f.weight"), 1);
  assert.equal(deviation("h.1.mlp.c_fc.bias"), 0);
});

test("a gradient is a pure function of parameters, step and rank, to the bit", async () => {
  const { trainer, theta } = setUp({ ranks: 2 });
  const before = theta.slice();
  const first = await trainer.gradient(theta, 3, 1);
  await trainer.gradient(theta, 4, 0);
  assert.deepEqual(await trainer.gradient(theta, 3, 1), first);
  assert.deepEqual(theta, before);
  assert.notDeepEqual((await trainer.gradient(theta, 3, 0)).gradient, first.gradient);
  assert.notDeepEqual((await trainer.gradient(theta, 4, 1)).gradient, first.gradient);
});

test("accumulated micro-batches are the mean over one batch of all their rows", async () => {
  const whole = setUp({ batch: 6 });
  const parts = setUp({ batch: 2, accumulation: 3 });
  const [expected, actual] = [
    await whole.trainer.gradient(whole.theta, 1, 0),
    await parts.trainer.gradient(parts.theta, 1, 0),
  ];
  assertClose(actual.gradient, expected.gradient, 1e-5, "gradient");
  assertClose([actual.loss], [expected.loss], 1e-6, "loss");
  assert.equal(actual.tokens, 6 * 8);
  assert.equal(expected.tokens, 6 * 8);
});

test("clipping scales the whole gradient to the norm, and only when it is longer", async () => {
  const optimizer = (clipNorm: number | null) => ({
    optimizer: { type: "sgd", learningRate: 0.1, clipNorm },
  });
  const gradientOf = async (clipNorm: number | null) => {
    const { trainer, theta } = setUp(optimizer(clipNorm));
    return (await trainer.gradient(theta, 0, 0)).gradient;
  };
  const plain = await gradientOf(null);
  const clipped = await gradientOf(0.01);
  assert.ok(norm(plain) > 0.1);
  assertClose([norm(clipped)], [0.01], 1e-3, "norm");
  const factor = 0.01 / (norm(plain) + 1e-6);
  assertClose(
    clipped,
    plain.map((value) => value * factor),
    1e-6,
    "direction",
  );
  assert.deepEqual(await gradientOf(norm(plain) * 1.01), plain);
});

test("the gradient of the linear model is 2/n xᵀ(xw - y)", async () => {
  const { trainer, spec, layout } = setUp(LINEAR);
  assert.deepEqual(layout.tensors[0]?.shape, [3, 2]);
  const w = normals("w", 6);
  const { gradient, loss, tokens } = await trainer.gradient(w, 5, 0);
  const solution = solutionOf(spec.seed, 3, 2);
  const { x } = examplesOf(spec.seed, solution, 3, rowsOf(spec, 50, { step: 5, rank: 0, micro: 0 }));
  const expected = new Float64Array(6);
  let squares = 0;
  for (let row = 0; row < 4; row++) {
    for (let j = 0; j < 2; j++) {
      const difference = (i: number) => (w[i * 2 + j] ?? 0) - (solution[i * 2 + j] ?? 0);
      const error = [0, 1, 2].reduce((sum, i) => sum + (x[row * 3 + i] ?? 0) * difference(i), 0);
      squares += error * error;
      for (let i = 0; i < 3; i++)
        expected[i * 2 + j] = (expected[i * 2 + j] ?? 0) + (2 / 8) * error * (x[row * 3 + i] ?? 0);
    }
  }
  assertClose(gradient, expected, 1e-5, "gradient");
  assertClose([loss], [squares / 8], 1e-5, "loss");
  assert.equal(tokens, 4);
});

test("at its solution the linear model has no loss, in training and on held-out examples", async () => {
  const { trainer, spec } = setUp(LINEAR);
  const solution = solutionOf(spec.seed, 3, 2);
  assert.ok((await trainer.gradient(solution, 0, 0)).loss < 1e-12);
  assert.ok((await trainer.evaluate(solution)).loss < 1e-12);
  assert.ok((await trainer.evaluate(new Float32Array(6))).loss > 0.1);
});

test("evaluation is the mean loss over the held-out windows", async () => {
  const { trainer, theta } = setUp({ evaluateBatches: 4 });
  const { loss, sequences } = await trainer.evaluate(theta);
  assert.equal(sequences, 4 * 3);
  // Small random parameters predict every character about equally.
  assertClose([loss], [Math.log(dataset.meta.vocabulary)], 0.02, "loss");
  assert.deepEqual(await trainer.evaluate(theta), { loss, sequences });
});

test("a gradient that is not finite stops with step, rank, tensor and element", async () => {
  const { trainer, theta, layout } = setUp();
  const { start } = placeOf(layout, "transformer.wpe.weight");
  theta[start + 5] = Number.NaN;
  await assert.rejects(trainer.gradient(theta, 12, 1), {
    name: "BadGradient",
    message:
      /^step 12, rank 1: the gradient of transformer\.\S+ is not finite \(NaN at element \d+\); lower optimizer\.learningRate or set optimizer\.clipNorm$/,
  });
  await assert.rejects(trainer.evaluate(theta), {
    name: "BadGradient",
    message: /held-out data is not finite \(NaN\)/,
  });
  const linear = setUp(LINEAR);
  await assert.rejects(linear.trainer.gradient(new Float32Array(6).fill(3e38), 0, 0), {
    name: "BadGradient",
    message: /^step 0, rank 0: the gradient of w is not finite \(\S+ at element 0\)/,
  });
});

test("parameters of the wrong length are refused", async () => {
  const { trainer, theta } = setUp();
  await assert.rejects(trainer.gradient(theta.subarray(1), 0, 0), {
    message: /theta must have \d+ parameters/,
  });
});

test("steps, evaluations and failures leave no tensor behind", async () => {
  const before = tf.memory().numTensors;
  const { trainer, theta } = setUp({ accumulation: 2 });
  for (let step = 0; step < 60; step++) {
    await trainer.gradient(theta, step, 0);
    assert.equal(tf.memory().numTensors, before, `after step ${step}`);
  }
  await trainer.evaluate(theta);
  await assert.rejects(trainer.gradient(theta.slice().fill(Number.NaN), 0, 0));
  assert.equal(tf.memory().numTensors, before);
});

test("the memory of the process is flat over 500 steps", async () => {
  const { trainer, theta } = setUp({ batch: 32 });
  const run = async (steps: number) => {
    for (let step = 0; step < steps; step++) await trainer.gradient(theta, step, 0);
    return process.memoryUsage.rss() / 1e6;
  };
  const warm = await run(150);
  const growth = (await run(500)) - warm;
  // Were what a step keeps for its backward pass lost, 280 KB a step, this would be 140 MB.
  assert.ok(growth < 40, `grew by ${growth.toFixed(1)} MB`);
});

test("gradient descent learns a text by heart", async () => {
  const { trainer, theta } = setUp({ batch: 8 });
  const first = (await trainer.evaluate(theta)).loss;
  for (let step = 0; step < 150; step++) {
    const { gradient } = await trainer.gradient(theta, step, 0);
    for (const [i, value] of gradient.entries()) theta[i] = (theta[i] ?? 0) - 0.5 * value;
  }
  const last = (await trainer.evaluate(theta)).loss;
  assert.ok(last < 0.85 * first, `${first} -> ${last}`);
});
