import assert from "node:assert/strict";
import { test } from "node:test";
import { modelDescription } from "../../../ml/models/describe.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { planLayout } from "../../../protocol/layout.ts";
import { initialParameters } from "../../../worker/initial.ts";
import { createTrainer } from "../../../worker/trainer.ts";
import { datasetOf, TEXT, tinyJob } from "../../support/models.ts";

/** Jobs of every family, as a worker trains them. */
const backend = await loadBackend("auto", { threads: 1 });
const { tf } = backend;
const texts = {
  plain: await datasetOf(TEXT.repeat(5)),
  withMask: await datasetOf(TEXT.repeat(5), { masks: true }),
};

const SIZES = { layers: 2, heads: 2, width: 12, context: 8 };
const models = {
  gpt2: { type: "gpt2", ...SIZES, dropout: 0.2 },
  llama: { type: "llama", ...SIZES, keyValueHeads: 1, hidden: 20, tied: false },
  bert: { type: "bert", ...SIZES, dropout: 0.2, maskProbability: 0.3 },
};

function setUp(model: { type: string }, changes: Record<string, unknown> = {}) {
  const spec = tinyJob({ model, batch: 4, evaluateBatches: 3, ...changes });
  const dataset = model.type === "bert" ? texts.withMask : texts.plain;
  const description = modelDescription(spec, dataset);
  const layout = planLayout(description.parameters, 1, spec.ranks);
  const theta = initialParameters(description, layout, spec.seed);
  return { spec, layout, theta, trainer: createTrainer({ backend, spec, layout, dataset }) };
}

for (const [type, model] of Object.entries(models)) {
  test(`${type}: a gradient is a pure function of parameters, step and rank, to the bit`, async () => {
    const [one, other] = [setUp(model, { ranks: 2 }), setUp(model, { ranks: 2 })];
    const first = await one.trainer.gradient(one.theta, 3, 1);
    assert.notDeepEqual(await one.trainer.gradient(one.theta, 4, 1), first);
    assert.notDeepEqual(await one.trainer.gradient(one.theta, 3, 0), first);
    assert.deepEqual(await one.trainer.gradient(one.theta, 3, 1), first);
    assert.deepEqual(await other.trainer.gradient(other.theta, 3, 1), first, "whatever was computed before");
  });

  test(`${type}: steps and evaluations leave no tensor behind`, async () => {
    const { trainer, theta } = setUp(model);
    const run = async (step: number) => {
      await trainer.gradient(theta, step, 0);
      await trainer.evaluate(theta);
      return tf.memory().numTensors;
    };
    const first = await run(0);
    for (let step = 1; step < 4; step++) assert.equal(await run(step), first);
  });

  test(`${type}: gradient descent lowers the held-out loss`, async () => {
    const { trainer, theta } = setUp({ ...model, ...("dropout" in model && { dropout: 0 }) });
    const { loss: before } = await trainer.evaluate(theta);
    for (let step = 0; step < 60; step++) {
      const { gradient } = await trainer.gradient(theta, step, 0);
      for (const [i, g] of gradient.entries()) theta[i] = (theta[i] ?? 0) - 0.3 * g;
    }
    const { loss: after } = await trainer.evaluate(theta);
    assert.ok(after < before - 0.1, `from ${before} to ${after}`);
  });
}

for (const type of ["gpt2", "bert"] as const) {
  test(`${type}: evaluation knows no dropout and is always the same`, async () => {
    const [dropping, plain] = [setUp(models[type]), setUp(Object.assign({}, models[type], { dropout: 0 }))];
    const { loss } = await dropping.trainer.evaluate(dropping.theta);
    assert.equal((await dropping.trainer.evaluate(dropping.theta)).loss, loss);
    assert.equal((await plain.trainer.evaluate(plain.theta)).loss, loss);
    const step = await dropping.trainer.gradient(dropping.theta, 0, 0);
    assert.notDeepEqual((await plain.trainer.gradient(plain.theta, 0, 0)).gradient, step.gradient);
  });
}

test("a bert job without a mask token in its tokenizer is refused with the reason", () => {
  const spec = tinyJob({ model: models.bert });
  const layout = planLayout(modelDescription(spec, texts.plain).parameters, 1, 1);
  assert.throws(() => createTrainer({ backend, spec, layout, dataset: texts.plain }), {
    message: "tokenizer must have a mask token to train a bert model, it has none",
  });
});
