import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import type { Gpt2 } from "../../../ml/models/gpt2.ts";
import { type Tensors, tensorOf } from "../../../ml/models/model.ts";
import type { Tf } from "../../../ml/tensorflow/backend.ts";

/**
 * GPT-2's loss in tfjs's own differentiable operations, one after the other as in its description: what the
 * hand-written gradients are tested against.
 */
export function plainGpt2Loss(
  tf: Tf,
  model: Gpt2,
  theta: Tensors,
  ids: Tensor1D,
  targets: Tensor1D,
  sequences: number,
): Scalar {
  const { width, heads, vocabulary } = model;
  const length = ids.size / sequences;
  const of = (name: string) => tensorOf(theta, `transformer.${name}`);
  const hot = (x: Tensor1D) => tf.cast(tf.oneHot(x, vocabulary), "float32");
  const norm = (x: Tensor, name: string) => {
    const { mean, variance } = tf.moments(x, -1, true);
    const scaled = x.sub(mean).div(variance.add(1e-5).sqrt());
    return scaled.mul(of(`${name}.weight`)).add(of(`${name}.bias`));
  };
  const project = (x: Tensor, name: string) =>
    tf.matMul(x as Tensor2D, of(`${name}.weight`) as Tensor2D).add(of(`${name}.bias`));
  const gelu = (x: Tensor) => {
    const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
    return x.mul(0.5).mul(inner.tanh().add(1));
  };
  const mask = tf.tensor2d(
    Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0)),
    [length, length],
  );
  const attend = (x: Tensor, name: string) => {
    const split = tf.split(project(x, `${name}.c_attn`), 3, 1);
    const [q, k, v] = split.map((part) =>
      part.reshape([sequences, length, heads, width / heads]).transpose([0, 2, 1, 3]),
    );
    if (!q || !k || !v) throw new Error("three parts");
    const scores = tf.matMul(q, k, false, true).div(Math.sqrt(width / heads));
    const y = tf.matMul(tf.softmax(scores.add(mask)), v).transpose([0, 2, 1, 3]);
    return project(y.reshape([sequences * length, width]), `${name}.c_proj`);
  };
  const table = of("wte.weight") as Tensor2D;
  const positions = of("wpe.weight").slice(0, length);
  let x: Tensor = tf.matMul(hot(ids), table).reshape([sequences, length, width]).add(positions);
  x = x.reshape([sequences * length, width]);
  for (let layer = 0; layer < model.layers; layer++) {
    x = x.add(attend(norm(x, `h.${layer}.ln_1`), `h.${layer}.attn`));
    const hidden = gelu(project(norm(x, `h.${layer}.ln_2`), `h.${layer}.mlp.c_fc`));
    x = x.add(project(hidden, `h.${layer}.mlp.c_proj`));
  }
  const logits = tf.matMul(norm(x, "ln_f") as Tensor2D, table, false, true);
  return tf.logSoftmax(logits).mul(hot(targets)).sum(-1).mean().neg() as Scalar;
}
