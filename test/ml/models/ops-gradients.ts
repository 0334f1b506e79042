import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { attention, attentionBackward, causalMask } from "../../../ml/models/layers/attention.ts";
import { crossEntropy } from "../../../ml/models/layers/cross-entropy.ts";
import { lookUpBackward } from "../../../ml/models/layers/embedding.ts";
import { type Activation, geluErf, geluTanh } from "../../../ml/models/layers/gelu.ts";
import { linear } from "../../../ml/models/layers/linear.ts";
import { layerNorm, type Norm, rmsNorm } from "../../../ml/models/layers/norm.ts";
import { type Ops, opsOf } from "../../../ml/models/layers/ops.ts";
import { swiglu, swigluWithSlopes } from "../../../ml/models/layers/swiglu.ts";
import type { Tensors } from "../../../ml/models/model.ts";
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
  const skip = `the ${name} backend is not installed: npx ps-submit setup`;
  if (!backend) return void test(`gradients of the operations on ${name}`, { skip }, () => {});
  for (const [title, of] of Object.entries(cases)) {
    test(`${title}: the backward pass is the gradient of the forward pass, on ${name}`, () => {
      const { tf } = backend;
      const before = tf.memory().numTensors;
      tf.tidy(() => check(backend, of(opsOf(tf))));
      assert.equal(tf.memory().numTensors, before);
    });
  }
}

/** A linear layer with a weight of this shape. */
const linearCase = (ops: Ops, inputsFirst: boolean, bias: boolean): Case => {
  const layer = linear("layer", { bias, inputsFirst });
  const thetaOf = (w: Tensor | undefined, b: Tensor | undefined): Tensors => ({
    "layer.weight": arg(w),
    ...(b && { "layer.bias": b }),
  });
  return {
    shapes: [[N, I], inputsFirst ? [I, O] : [O, I], ...(bias ? [[O]] : [])],
    forward: (x, w, b) => layer.forward({ ops, theta: thetaOf(w, b) }, arg(x)),
    backward: (dy, x, w, b) => {
      const { dx, gradient } = layer.backward({ ops, theta: thetaOf(w, b) }, dy, arg(x));
      return [dx, ...Object.values(gradient)];
    },
    plain: (x, w, b) => {
      const product = ops.tf.matMul(arg(x), inputsFirst ? arg(w) : arg(w).transpose());
      return b ? product.add(b) : product;
    },
  };
};

/** A norm whose parameters are of width I; `plain` is given its gain and its bias. */
const normCase = (ops: Ops, norm: Norm, plain: Case["plain"]): Case => {
  const names = norm.parameters(I).map(({ name }) => name);
  const pass = (parameters: readonly Tensor[]) => ({
    ops,
    theta: Object.fromEntries(names.map((name, i) => [name, arg(parameters[i])])),
  });
  return {
    shapes: [[N, I], ...names.map(() => [I])],
    forward: (x, ...parameters) => norm.forward(pass(parameters), arg(x)).y,
    backward: (dy, x, ...parameters) => {
      const { saved } = norm.forward(pass(parameters), arg(x));
      const { dx, gradient } = norm.backward(pass(parameters), dy, saved);
      return [dx, ...Object.values(gradient)];
    },
    plain,
  };
};

/** An activation, also as `withSlope` gives it. */
const activationCase = (ops: Ops, activation: Activation, plain: (x: Tensor) => Tensor): Case => ({
  shapes: [[N, I]],
  forward: (x) => activation.forward(ops, arg(x)),
  backward: (dy, x) => [ops.tf.mul(dy, activation.withSlope(ops, arg(x)).slope)],
  plain: (x) => plain(arg(x)),
});

const cases: Record<string, (ops: Ops) => Case> = {
  "linear, inputs first, with a bias": (ops) => linearCase(ops, true, true),
  "linear, inputs first": (ops) => linearCase(ops, true, false),
  "linear, outputs first, with a bias": (ops) => linearCase(ops, false, true),
  "linear, outputs first": (ops) => linearCase(ops, false, false),

  "layer norm": (ops) =>
    normCase(ops, layerNorm("norm", EPSILON), (x, gain, bias) => {
      const { mean, variance } = ops.tf.moments(arg(x), -1, true);
      const scaled = arg(x).sub(mean).div(variance.add(EPSILON).sqrt());
      return scaled.mul(arg(gain)).add(arg(bias));
    }),

  "RMS norm": (ops) =>
    normCase(ops, rmsNorm("norm", EPSILON), (x, gain) =>
      arg(x).div(arg(x).square().mean(-1, true).add(EPSILON).sqrt()).mul(arg(gain)),
    ),

  GELU: (ops) =>
    activationCase(ops, geluTanh, (x) => {
      const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
      return x.mul(0.5).mul(inner.tanh().add(1));
    }),

  "GELU beside its slope": (ops) => ({
    ...activationCase(ops, geluTanh, (x) => geluTanh.forward(ops, x)),
    forward: (x) => geluTanh.withSlope(ops, arg(x)).y,
  }),

  "exact GELU beside its slope": (ops) => ({
    ...activationCase(ops, geluErf, (x) => geluErf.forward(ops, x)),
    forward: (x) => geluErf.withSlope(ops, arg(x)).y,
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
    forward: (logits) => crossEntropy(ops, arg(logits), targets(ops)).loss,
    backward: (dy, logits) => [ops.tf.mul(crossEntropy(ops, arg(logits), targets(ops)).dLogits, dy)],
    plain: (logits) => {
      const hot = ops.tf.cast(ops.tf.oneHot(targets(ops), I), "float32");
      return ops.tf.logSoftmax(arg(logits)).mul(hot).sum(-1).mean().neg();
    },
  }),

  "embedding look-up": (ops) => ({
    shapes: [[I, O]],
    forward: (table) => ops.tf.gather(arg(table), targets(ops)),
    backward: (dy) => [lookUpBackward(ops, dy, targets(ops), I)],
    plain: (table) => ops.tf.matMul(ops.tf.cast(ops.tf.oneHot(targets(ops), I), "float32"), arg(table)),
  }),
};

const targets = ({ tf }: Ops): Tensor1D => tf.tensor1d(IDS, "int32");

function arg(tensor: Tensor | undefined): Tensor {
  assert.ok(tensor);
  return tensor;
}

/** One token, sequence and head at a time, over the tokens up to it: no mask. */
function plainAttention({ tf }: Ops, qkv: Tensor): Tensor {
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
