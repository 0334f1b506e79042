import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Tensor } from "@tensorflow/tfjs";
import { type Gpt2, gpt2 } from "../../../ml/models/gpt2.ts";
import { drawDropout } from "../../../ml/models/layers/dropout.ts";
import { type Ops, opsOf } from "../../../ml/models/layers/ops.ts";
import type { Batch, LossAndGradient, Tensors } from "../../../ml/models/model.ts";
import { recorded, recordedLoss } from "../../../ml/models/recorded.ts";
import type { Backend } from "../../../ml/tensorflow/backend.ts";
import { recordProgram } from "../../../ml/tensorflow/program.ts";
import { threadEnvironment } from "../../../ml/tensorflow/tensorflow.ts";
import { Unrecoverable } from "../../../protocol/errors.ts";
import { assertClose, backendOrSkip, randomParameters } from "../../support/models.ts";
import { type Sample, sampleBatch, sampleTheta } from "./families.ts";
import { samples } from "./family-samples.ts";

const backend = await backendOrSkip("tensorflow");
const skip = backend ? false : "the tensorflow backend is not installed: npx ps-submit setup";

const MODEL: Gpt2 = { layers: 3, heads: 3, width: 15, context: 11, vocabulary: 17, dropout: 0.2 };

const plain =
  (ops: Ops, model = MODEL) =>
  (theta: Tensors, batch: Batch): LossAndGradient =>
    gpt2.lossAndGradient(ops, model, theta, batch);

/** A batch of its own for each number. */
function batchOf(ops: Ops, number: number, sequences = 4, length = 11): Batch {
  const ids = (shift: number) =>
    ops.tf.tensor1d(
      Int32Array.from({ length: sequences * length }, (_, i) => (i * i + number * 5 + shift) % 17),
      "int32",
    );
  const shapes = gpt2.dropout?.(MODEL, sequences, length) ?? {};
  const dropout = drawDropout(ops, 0.2, shapes, { seed: 1, step: number, rank: 0, micro: 0 });
  return { tokens: { ids: ids(0), sequences, length }, targets: ids(3), dropout };
}

/** Calls `check` within a tidy and asserts that no tensor of TensorFlow's or tfjs's is left. */
function within(
  check: (ops: Ops, theta: Tensors) => void,
  thetaOf: (backend: Backend) => Tensors = (backend) => randomParameters(backend, gpt2.parameters(MODEL)),
): void {
  if (!backend) return;
  const { tf } = backend;
  const before = tf.memory().numTensors;
  tf.tidy(() => check(opsOf(tf), thetaOf(backend)));
  assert.equal(tf.memory().numTensors, before);
}

/** Masks for a sample's family, if it has dropout. */
function dropoutOf(ops: Ops, { family, config, ids }: Sample): Pick<Batch, "dropout"> {
  const shapes = family.dropout?.(config, ids.length, ids[0]?.length ?? 0);
  return shapes ? { dropout: drawDropout(ops, 0.2, shapes, { seed: 1, step: 1, rank: 0, micro: 0 }) } : {};
}

function assertSame(actual: LossAndGradient, expected: LossAndGradient, tolerance: number): void {
  assertClose(actual.loss, expected.loss, tolerance, "loss");
  assert.deepEqual(Object.keys(actual.gradient).sort(), Object.keys(expected.gradient).sort());
  const largest = Math.max(...Object.values(expected.gradient).map(largestOf));
  for (const [name, tensor] of Object.entries(expected.gradient)) {
    const ours = actual.gradient[name];
    assert.ok(ours, name);
    assert.deepEqual(ours.shape, tensor.shape, name);
    if (tolerance === 0) assert.deepEqual(ours.dataSync(), tensor.dataSync(), name);
    else assertWithin(ours, tensor, tolerance * Math.max(largestOf(tensor), 1e-3 * largest), name);
  }
}

/** In absolute terms: a gradient of nothing but rounding errors, as a key's bias has, is measured by the others. */
function assertWithin(actual: Tensor, expected: Tensor, limit: number, what: string): void {
  const values = expected.dataSync<"float32">();
  const far = actual
    .dataSync<"float32">()
    .findIndex((value, i) => !(Math.abs(value - (values[i] ?? Number.NaN)) <= limit));
  assert.equal(far, -1, `${what}: element ${far} is further than ${limit} from ${values[far]}`);
}

const largestOf = (x: Tensor): number =>
  x.dataSync<"float32">().reduce((max, value) => Math.max(max, Math.abs(value)), 0);

test("a recorded gradient is the plain one, for every batch, dropout and shape", { skip }, () => {
  within((ops, theta) => {
    const program = recorded(ops, plain(ops));
    for (const [number, sequences, length] of [
      [0, 4, 11],
      [1, 4, 11],
      [2, 2, 7],
      [3, 1, 1],
      [4, 4, 11],
    ] as const) {
      const batch = batchOf(ops, number, sequences, length);
      assertSame(program(theta, batch), plain(ops)(theta, batch), 1e-4);
    }
  });
});

test("a recorded gradient follows the parameters", { skip }, () => {
  within((ops, theta) => {
    const program = recorded(ops, plain(ops));
    const batch = batchOf(ops, 1);
    program(theta, batch);
    const moved = Object.fromEntries(Object.entries(theta).map(([name, x]) => [name, ops.tf.mul(x, 0.9)]));
    assertSame(program(moved, batch), plain(ops)(moved, batch), 1e-4);
  });
});

for (const sample of samples) {
  const { title, family, config } = sample;
  const gradientOf =
    (ops: Ops, recompute = false) =>
    (theta: Tensors, batch: Batch) =>
      family.lossAndGradient(ops, { ...config, recompute }, theta, batch);

  test(`${title}: a recorded gradient and a recorded loss are the plain ones`, { skip }, () => {
    within(
      (ops, theta) => {
        const batch = sampleBatch(ops.tf, sample);
        const plainly = gradientOf(ops)(theta, batch);
        assertSame(recorded(ops, gradientOf(ops))(theta, batch), plainly, 1e-4);
        const loss = recordedLoss(ops, (...of) => family.loss(ops, config, ...of));
        assertClose(loss(theta, batch), plainly.loss, 1e-5, "loss");
        assertClose(loss(theta, batch), plainly.loss, 1e-5, "loss once more");
      },
      ({ tf }) => sampleTheta(tf, sample),
    );
  });

  test(`${title}: computing blocks again gives the same bits, recorded and not`, { skip }, () => {
    within(
      (ops, theta) => {
        const batch = { ...sampleBatch(ops.tf, sample), ...dropoutOf(ops, sample) };
        const [plainly, again] = [gradientOf(ops), gradientOf(ops, true)];
        assertSame(again(theta, batch), plainly(theta, batch), 0);
        assertSame(recorded(ops, again)(theta, batch), recorded(ops, plainly)(theta, batch), 0);
      },
      ({ tf }) => sampleTheta(tf, sample),
    );
  });
}

test("recording refuses what a graph can't know: values read, and tensors that are not inputs", {
  skip,
}, () => {
  if (!backend) return;
  const { tf } = backend;
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const [x, other] = [tf.tensor1d([1, 2]), tf.tensor1d([3, 4])];
    other.square().dispose();
    const reading = () => [tf.scalar(tf.square(x).dataSync()[0] ?? 0)];
    assert.throws(() => recordProgram(tf, [x], reading), Unrecoverable);
    assert.throws(() => recordProgram(tf, [x], () => [tf.add(x, other)]), /not among its inputs/);
    assert.deepEqual([...tf.add(x, other).dataSync()], [4, 6], "the backend still works");
  });
  assert.equal(tf.memory().numTensors, before);
});

test("a program's gradient has the same bits in every process, on one thread and on two", {
  skip,
}, async () => {
  const script = fileURLToPath(new URL("recorded-digest.ts", import.meta.url));
  const digests = await Promise.all(
    [1, 2, 2].map(async (threads) => {
      const env = { ...process.env, ...threadEnvironment(threads) };
      return (await promisify(execFile)(process.execPath, [script], { env })).stdout;
    }),
  );
  assert.match(digests[0] ?? "", /^[0-9a-f]{64}$/);
  assert.equal(new Set(digests).size, 1);
});
