import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Tensor } from "@tensorflow/tfjs";
import { z } from "zod";
import { type Dropout, drawDropout } from "../../../ml/models/layers/dropout.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import type { Batch, Tensors } from "../../../ml/models/model.ts";
import type { Backend } from "../../../ml/tensorflow/backend.ts";
import { assertClose, backendOrSkip, normals } from "../../support/models.ts";
import { type Sample, sampleBatch, sampleTheta } from "./families.ts";
import { samples } from "./family-samples.ts";

/** What PyTorch said of the samples, kept so that it can be checked without Python; see families-reference.ts. */
export const referenceSchema = z.record(
  z.string(),
  z.object({
    loss: z.number(),
    /** Of each parameter's gradient: its L2 norm, and its product with fixed random numbers. */
    gradients: z.record(z.string(), z.tuple([z.number(), z.number()])),
  }),
);
export const referenceFile = new URL("families-reference.json", import.meta.url);

/** A gradient in two numbers. */
export function summaryOf(name: string, gradient: ArrayLike<number>): [norm: number, projection: number] {
  const values = Array.from(gradient);
  const direction = normals(`direction of ${name}`, values.length);
  const norm = Math.hypot(...values);
  return [norm, values.reduce((sum, value, i) => sum + value * (direction[i] ?? Number.NaN), 0)];
}

/** Registers the tests of every family on one backend; tfjs has one backend a process. */
export async function testFamilies(name: Backend["name"]): Promise<void> {
  const backend = await backendOrSkip(name);
  const skip = backend ? false : `the ${name} backend is not installed: npx ps-submit setup`;
  const reference = referenceSchema.parse(JSON.parse(readFileSync(referenceFile, "utf8")));
  for (const sample of samples) {
    test(`${sample.title}: loss and gradients on ${name} are PyTorch's`, { skip }, () => {
      const expected = reference[sample.title];
      assert.ok(expected, "node test/ml/models/families-reference.ts");
      if (backend) flat(backend, () => compare(backend, sample, expected));
    });
    if (!sample.family.dropout) continue;
    test(`${sample.title}: with dropout, gradients are the slopes of the loss, on ${name}`, { skip }, () => {
      if (backend) flat(backend, () => checkDropout(backend, sample));
    });
  }
}

function flat({ tf }: Backend, check: () => void): void {
  const before = tf.memory().numTensors;
  tf.tidy(check);
  assert.equal(tf.memory().numTensors, before);
}

type Expected = z.infer<typeof referenceSchema>[string];

function compare({ tf }: Backend, sample: Sample, expected: Expected): void {
  const { family, config } = sample;
  const theta = sampleTheta(tf, sample);
  const { loss, gradient } = family.lossAndGradient(opsOf(tf), config, theta, sampleBatch(tf, sample));
  assertClose(loss, [expected.loss], 1e-4, "loss");
  assert.deepEqual(Object.keys(gradient).sort(), Object.keys(expected.gradients).sort());
  const largest = Math.max(...Object.values(expected.gradients).map(([norm]) => norm));
  for (const [name, [norm, projection]] of Object.entries(expected.gradients)) {
    const [ourNorm, ourProjection] = summaryOf(name, valuesOf(gradient, name));
    const limit = 1e-3 * norm + 1e-6 * largest;
    assert.ok(Math.abs(ourNorm - norm) <= limit, `${name}: norm ${ourNorm}, PyTorch ${norm}`);
    assert.ok(
      Math.abs(ourProjection - projection) <= 3 * limit,
      `${name}: projection ${ourProjection}, PyTorch ${projection}`,
    );
  }
}

function valuesOf(tensors: Tensors, name: string): Float32Array {
  const tensor = tensors[name];
  assert.ok(tensor, name);
  return tensor.dataSync<"float32">();
}

/** Along random directions of all parameters at once, against a central difference at the same masks. */
function checkDropout({ tf }: Backend, sample: Sample): void {
  const { family, config } = sample;
  const ops = opsOf(tf);
  const theta = sampleTheta(tf, sample);
  const plain = sampleBatch(tf, sample);
  const { sequences, length } = plain.tokens;
  const shapes = family.dropout?.(config, sequences, length) ?? {};
  const draw = (step: number): Dropout => drawDropout(ops, 0.3, shapes, { seed: 1, step, rank: 0, micro: 0 });
  const at = (parameters: Tensors, batch: Batch) => family.lossAndGradient(ops, config, parameters, batch);
  const batch = { ...plain, dropout: draw(5) };
  const { loss, gradient } = at(theta, batch);
  const lossOf = (result: { loss: Tensor }) => result.loss.dataSync<"float32">()[0] ?? Number.NaN;
  assert.equal(
    lossOf(at(theta, { ...plain, dropout: draw(5) })),
    lossOf({ loss }),
    "the same masks, the same loss",
  );
  assert.notEqual(lossOf(at(theta, { ...plain, dropout: draw(6) })), lossOf({ loss }));
  assert.notEqual(lossOf(at(theta, plain)), lossOf({ loss }));
  for (const direction of ["first", "second", "third"]) {
    const steps = Object.entries(theta).map(([name, { shape, size }]) => {
      return [name, tf.tensor(normals(`${direction} ${name}`, size), shape)] as const;
    });
    const moved = (h: number) =>
      Object.fromEntries(steps.map(([name, d]) => [name, tf.add(theta[name] ?? 0, tf.mul(d, h))]));
    const h = 2e-3;
    const slope = (lossOf(at(moved(h), batch)) - lossOf(at(moved(-h), batch))) / (2 * h);
    const expected = steps.reduce((sum, [name, d]) => {
      const values = d.dataSync<"float32">();
      return sum + valuesOf(gradient, name).reduce((s, value, i) => s + value * (values[i] ?? 0), 0);
    }, 0);
    const scale = Math.hypot(...Object.keys(theta).flatMap((name) => [...valuesOf(gradient, name)]));
    assert.ok(
      Math.abs(slope - expected) < 0.03 * scale,
      `slope ${slope}, gradient ${expected}, norm ${scale}`,
    );
  }
}
