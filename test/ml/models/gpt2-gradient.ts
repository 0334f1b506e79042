import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scalar, Tensor1D } from "@tensorflow/tfjs";
import { type Gpt2, gpt2 } from "../../../ml/models/gpt2.ts";
import { opsOf } from "../../../ml/models/layers/ops.ts";
import type { Backend } from "../../../ml/tensorflow/backend.ts";
import { assertClose, backendOrSkip, randomParameters } from "../../support/models.ts";
import { plainGpt2Loss } from "./plain-gpt2.ts";

/** Sizes that share no factor, so that a wrong axis or a swapped size can't pass. */
const MODEL: Gpt2 = { layers: 3, heads: 3, width: 15, context: 11, vocabulary: 17 };

/** Registers the tests of the whole model on one backend; tfjs has one backend a process. */
export async function testGpt2Gradient(name: Backend["name"]): Promise<void> {
  const backend = await backendOrSkip(name);
  const skip = backend ? false : `the ${name} backend is not installed: npx ps-submit setup`;
  for (const [sequences, length] of [
    [2, 11],
    [5, 7],
    [1, 1],
  ] as const) {
    test(`gpt2's gradient equals the tape's for ${sequences} x ${length} tokens on ${name}`, { skip }, () => {
      if (backend) compare(backend, sequences, length);
    });
  }
}

function compare(backend: Backend, sequences: number, length: number): void {
  const { tf } = backend;
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const theta = randomParameters(backend, gpt2.parameters(MODEL));
    const ids = (shift: number) =>
      tf.tensor1d(
        Int32Array.from({ length: sequences * length }, (_, i) => (i * i + shift) % MODEL.vocabulary),
        "int32",
      );
    const [inputs, targets] = [ids(3), ids(5)];
    const held = tf.memory().numTensors;
    const tokens = { ids: inputs, sequences, length };
    const ours = gpt2.lossAndGradient(opsOf(tf), MODEL, theta, { tokens, targets });
    const made = Object.keys(ours.gradient).length + 1;
    assert.equal(tf.memory().numTensors - held, made, "only the results are left");
    const plain = tapeGradient(backend, theta, inputs, targets, sequences);
    assertClose(ours.loss, plain.loss, 1e-5, "loss");
    assert.deepEqual(Object.keys(ours.gradient).sort(), Object.keys(theta).sort());
    for (const [parameter, expected] of Object.entries(plain.gradient)) {
      const actual = ours.gradient[parameter];
      assert.ok(actual, parameter);
      assert.deepEqual(actual.shape, expected.shape, parameter);
      assertClose(actual, expected, 2e-4, parameter);
    }
  });
  assert.equal(tf.memory().numTensors, before);
}

function tapeGradient(
  { tf }: Backend,
  theta: ReturnType<typeof randomParameters>,
  inputs: Tensor1D,
  targets: Tensor1D,
  sequences: number,
) {
  const names = Object.keys(theta);
  const { value, grads } = tf.valueAndGrads((...tensors) => {
    const named = Object.fromEntries(names.map((name, i) => [name, tensors[i] ?? tf.scalar(0)]));
    return plainGpt2Loss(tf, MODEL, named, inputs, targets, sequences);
  })(Object.values(theta));
  const loss = value as Scalar;
  return { loss, gradient: Object.fromEntries(grads.map((gradient, i) => [names[i] ?? "", gradient])) };
}
