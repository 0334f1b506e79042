import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { attention, attentionBackward, causalMask } from "../../../ml/models/attention.ts";
import { geluErf, geluErfWithSlope } from "../../../ml/models/gelu-erf.ts";
import * as op from "../../../ml/models/ops.ts";
import { swiglu, swigluWithSlopes } from "../../../ml/models/swiglu.ts";
import type { Backend } from "../../../ml/tensorflow/backend.ts";
import { assertClose, backendOrSkip, normals } from "../../support/models.ts";

/** One operation: its hand-written forward and backward, and the same in tfjs's differentiable operations. */
type Case = {
  readonly shapes: readonly (readonly number[])[];
  readonly forward: (...inputs: Tensor[]) => Tensor;
  readonly backward: (dy: Tensor, ...inputs: Tensor[]) => Tensor[];
  readonly plain: (...inputs: Tensor[]) => Tensor;
};

const N = 6;
const I = 5;
const O = 7;
const EPSILON = 1e-5;
const IDS = [2, 0, 2, 3, 2, 0];
const HEADS = { sequences: 2, length: 3, heads: 2 };

/** Registers the tests of every operation on one backend; tfjs has one backend a process. */
export async function testOps(name: Backend["name"]): Promise<void> {
  const backend = await backendOrSkip(name);
  const skip = `the ${name} backend is not installed: npm run setup`;
  if (!backend) return void test(`gradients of the operations on ${name}`, { skip }, () => {});
  for (const [title, of] of Object.entries(cases)) {
    test(`${title}: the backward pass is the gradient of the forward pass, on ${name}`, () => {
      const { tf } = backend;
      const before = tf.memory().numTensors;
      tf.tidy(() => check(backend, of(op.opsOf(tf))));
      assert.equal(tf.memory().numTensors, before);
    });
  }
}

const cases: Record<string, (ops: op.Ops) => Case> = {
  linear: (ops) => ({
    shapes: [[N, I], [I, O], [O]],
    forward: (x, w, b) => op.linear(ops, arg(x), arg(w), arg(b)),
    backward: (dy, x, w) => {
      const { dx, dWeight, dBias } = op.linearBackward(ops, dy, arg(x), arg(w));
      return [dx, dWeight, dBias];
    },
    plain: (x, w, b) => ops.tf.add(ops.tf.matMul(arg(x), arg(w)), arg(b)),
  }),

  "layer norm": (ops) => ({
    shapes: [[N, I], [I], [I]],
    forward: (x, gain, bias) => op.layerNorm(ops, arg(x), arg(gain), arg(bias), EPSILON).y,
    backward: (dy, x, gain, bias) => {
      const norm = op.layerNorm(ops, arg(x), arg(gain), arg(bias), EPSILON);
      const { dx, dGain, dBias } = op.layerNormBackward(ops, dy, norm, arg(gain));
      return [dx, dGain, dBias];
    },
    plain: (x, gain, bias) => {
      const { mean, variance } = ops.tf.moments(arg(x), -1, true);
      const scaled = arg(x).sub(mean).div(variance.add(EPSILON).sqrt());
      return scaled.mul(arg(gain)).add(arg(bias));
    },
  }),

  GELU: (ops) => ({
    shapes: [[N, I]],
    forward: (x) => op.gelu(ops, arg(x)),
    backward: (dy, x) => [ops.tf.mul(dy, op.geluWithSlope(ops, arg(x)).slope)],
    plain: (input) => {
      const x = arg(input);
      const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
      return x.mul(0.5).mul(inner.tanh().add(1));
    },
  }),

  "GELU beside its slope": (ops) => ({
    shapes: [[N, I]],
    forward: (x) => op.geluWithSlope(ops, arg(x)).y,
    backward: (dy, x) => [ops.tf.mul(dy, op.geluWithSlope(ops, arg(x)).slope)],
    plain: (x) => op.gelu(ops, arg(x)),
  }),

  "exact GELU beside its slope": (ops) => ({
    shapes: [[N, I]],
    forward: (x) => geluErfWithSlope(ops, arg(x)).y,
    backward: (dy, x) => [ops.tf.mul(dy, geluErfWithSlope(ops, arg(x)).slope)],
    plain: (x) => geluErf(ops, arg(x)),
  }),

  "SwiGLU beside its slopes": (ops) => ({
    shapes: [
      [N, I],
      [N, I],
    ],
    forward: (gate, up) => swigluWithSlopes(ops, arg(gate), arg(up)).y,
    backward: (dy, gate, up) => {
      const { byGate, byUp } = swigluWithSlopes(ops, arg(gate), arg(up));
      return [ops.tf.mul(dy, byGate), ops.tf.mul(dy, byUp)];
    },
    plain: (gate, up) => swiglu(ops, arg(gate), arg(up)),
  }),

  "causal attention": (ops) => ({
    shapes: [[N, 3 * 4]],
    forward: (qkv) => attention(ops, arg(qkv), causalMask(ops, 3), HEADS),
    backward: (dy, qkv) => [
      attentionBackward(
        ops,
        dy,
        { qkv: arg(qkv), attended: attention(ops, arg(qkv), causalMask(ops, 3), HEADS) },
        causalMask(ops, 3),
        HEADS,
      ),
    ],
    plain: (qkv) => plainAttention(ops, arg(qkv)),
  }),

  "cross-entropy": (ops) => ({
    shapes: [[N, I]],
    forward: (logits) => op.crossEntropy(ops, arg(logits), targets(ops)).loss,
    backward: (dy, logits) => [ops.tf.mul(op.crossEntropy(ops, arg(logits), targets(ops)).dLogits, dy)],
    plain: (logits) => {
      const hot = ops.tf.cast(ops.tf.oneHot(targets(ops), I), "float32");
      return ops.tf.logSoftmax(arg(logits)).mul(hot).sum(-1).mean().neg();
    },
  }),

  "embedding look-up": (ops) => ({
    shapes: [[I, O]],
    forward: (table) => ops.tf.gather(arg(table), targets(ops)),
    backward: (dy) => [op.lookUpBackward(ops, dy, targets(ops), I)],
    plain: (table) => ops.tf.matMul(ops.tf.cast(ops.tf.oneHot(targets(ops), I), "float32"), arg(table)),
  }),
};

const targets = ({ tf }: op.Ops): Tensor1D => tf.tensor1d(IDS, "int32");

function arg(tensor: Tensor | undefined): Tensor {
  assert.ok(tensor);
  return tensor;
}

/** One token, sequence and head at a time, over the tokens up to it: no mask. */
function plainAttention({ tf }: op.Ops, qkv: Tensor): Tensor {
  const { sequences, length, heads } = HEADS;
  const [q, k, v] = tf
    .split(qkv, 3, 1)
    .map((part) => part.reshape([sequences, length, heads, 2]).transpose([0, 2, 1, 3]));
  const rows = Array.from({ length }, (_, t) => {
    const upTo = (x: Tensor) => x.slice([0, 0, 0, 0], [-1, -1, t + 1, -1]);
    const query = arg(q).slice([0, 0, t, 0], [-1, -1, 1, -1]);
    const weights = tf.softmax(tf.matMul(query, upTo(arg(k)), false, true).div(Math.sqrt(2)));
    return tf.matMul(weights, upTo(arg(v)));
  });
  return tf
    .concat(rows, 2)
    .transpose([0, 2, 1, 3])
    .reshape([N, heads * 2]);
}

function check({ tf }: Backend, { shapes, forward, backward, plain }: Case): void {
  const inputs = shapes.map((shape, i) => random(tf, `input ${i}`, shape));
  const y = forward(...inputs);
  assertClose(y, plain(...inputs), 1e-5, "value");
  const dy = random(tf, "dy", y.shape);
  const held = tf.memory().numTensors;
  const ours = tf.tidy(() => backward(dy, ...inputs));
  assert.equal(tf.memory().numTensors - held, ours.length, "only the gradients are left");
  const tape = tf.grads((...x) => plain(...x))(inputs, dy);
  for (const [i, gradient] of ours.entries()) {
    assert.deepEqual(gradient.shape, shapes[i], `shape of gradient ${i}`);
    assertClose(gradient, arg(tape[i]), 1e-4, `gradient ${i} against the tape`);
    const numeric = slope(tf, forward, inputs, i, dy);
    assertClose(
      dot(gradient, random(tf, "direction", gradient.shape)),
      numeric,
      1e-2,
      `finite difference ${i}`,
    );
  }
}

/** The slope of <forward, dy> along a random direction of one input, from a central difference. */
function slope(
  tf: Backend["tf"],
  forward: Case["forward"],
  inputs: Tensor[],
  i: number,
  dy: Tensor,
): [number] {
  const h = 1e-2;
  const at = (distance: number) => {
    const moved = inputs.map((x, j) => (j === i ? x.add(random(tf, "direction", x.shape).mul(distance)) : x));
    return dot(forward(...moved), dy)[0];
  };
  return [(at(h) - at(-h)) / (2 * h)];
}

const random = (tf: Backend["tf"], name: string, shape: readonly number[]): Tensor =>
  tf.tensor(
    normals(
      name,
      shape.reduce((product, n) => product * n, 1),
    ),
    [...shape],
  );

/** In double precision. */
function dot(a: Tensor, b: Tensor): [number] {
  const values = b.dataSync<"float32">();
  return [a.dataSync<"float32">().reduce((sum, value, i) => sum + value * (values[i] ?? Number.NaN), 0)];
}
