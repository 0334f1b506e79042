import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import type { Backend } from "../../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { assertClose } from "../../support/models.ts";
import { withoutModules } from "../../support/python.ts";
import { type Answer, askTransformers, type Sample, sampleBatch, sampleTheta } from "./families.ts";
import { samples } from "./family-samples.ts";

/** Every family against transformers and PyTorch, in many small shapes. */
const skip = withoutModules("torch", "transformers");
const directory = mkdtempSync(join(tmpdir(), "ps-families-"));
after(() => rmSync(directory, { recursive: true, force: true }));

let answers: Answer[] = [];
let warnings = "";
let backend: Backend;

before(async () => {
  if (skip) return;
  ({ answers, warnings } = askTransformers(samples, directory));
  backend = await loadBackend("auto", { threads: 1 });
});

for (const [i, sample] of samples.entries()) {
  test(`${sample.title}: transformers finds every key, and its logits, loss and gradients are ours`, {
    skip,
  }, () => {
    const answer = answers[i];
    assert.ok(answer);
    assert.deepEqual([answer.missing, answer.unexpected, answer.mismatched], [[], [], []]);
    compare(sample, answer);
  });
}

test("transformers loads the checkpoints without a warning", { skip }, () => {
  assert.doesNotMatch(warnings, /newly initialized|not used|unexpected|deprecat|unrecognized/i);
});

function compare(sample: Sample, answer: Answer): void {
  const { tf } = backend;
  const { family, config } = sample;
  const ops = opsOf(tf);
  const held = tf.memory().numTensors;
  tf.tidy(() => {
    const theta = sampleTheta(tf, sample);
    const batch = sampleBatch(tf, sample);
    const logits = family.logits(ops, config, theta, batch.tokens).dataSync<"float32">();
    assert.equal(logits.length, answer.logits.length);
    for (const [at, logit] of answer.logits.entries()) {
      const got = logits[at] ?? Number.NaN;
      assert.ok(Math.abs(got - logit) <= 1e-4, `logit ${at}: ${got}, PyTorch ${logit}`);
    }
    assertClose(family.loss(ops, config, theta, batch), [answer.loss], 1e-5, "loss");
    const before = tf.memory().numTensors;
    const { loss, gradient } = family.lossAndGradient(ops, config, theta, batch);
    assert.equal(
      tf.memory().numTensors - before,
      Object.keys(gradient).length + 1,
      "only the results are left",
    );
    assertClose(loss, [answer.loss], 1e-5, "loss");
    assert.deepEqual(Object.keys(gradient).sort(), Object.keys(answer.gradients).sort());
    const zero = 1e-6 * Math.max(...Object.values(answer.gradients).map(largest));
    for (const [name, expected] of Object.entries(answer.gradients)) {
      const values = gradient[name]?.dataSync<"float32">() ?? new Float32Array();
      // A bias of keys shifts a token's scores by the same: its gradient is zero but for rounding.
      if (largest(expected) < zero) assert.ok(largest(values) < zero, `${name} must be zero`);
      else assertClose(values, expected, 1e-3, name);
    }
  });
  assert.equal(tf.memory().numTensors, held);
}

const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((max, value) => Math.max(max, Math.abs(value)), 0);
