import type { Tensor2D, UserModel } from "serverless-ps";

/** A classifier of points on the three arms of a spiral: two layers, on data made from the job's seed. */

const CLASSES = 3;
const HIDDEN = 32;

const model: UserModel = {
  parameters: () => [
    { name: "hidden.weight", shape: [2, HIDDEN], init: { type: "normal", deviation: 1 } },
    { name: "hidden.bias", shape: [HIDDEN], init: { type: "zeros" } },
    { name: "output.weight", shape: [HIDDEN, CLASSES], init: { type: "normal", deviation: 0.2 } },
    { name: "output.bias", shape: [CLASSES], init: { type: "zeros" } },
  ],

  // The names of the random numbers differ for each part, step, rank and micro-batch.
  batch({ part, step, rank, micro, rows, uniform, normal }) {
    const batch = `${part} ${step} ${rank} ${micro}`;
    const along = uniform(`along ${batch}`, rows);
    const arms = uniform(`arm ${batch}`, rows);
    const noise = normal(`noise ${batch}`, rows);
    const points = new Float32Array(2 * rows);
    const labels = new Int32Array(rows);
    for (let row = 0; row < rows; row++) {
      const arm = Math.floor(CLASSES * (arms[row] ?? 0));
      const radius = 0.2 + 1.8 * (along[row] ?? 0);
      const angle = (2 * Math.PI * arm) / CLASSES + 1.5 * radius + 0.1 * (noise[row] ?? 0);
      points[2 * row] = radius * Math.cos(angle);
      points[2 * row + 1] = radius * Math.sin(angle);
      labels[row] = arm;
    }
    return { points: { shape: [rows, 2], values: points }, labels: { shape: [rows], values: labels } };
  },

  loss(tf, theta, { points, labels }) {
    const layer = (x: Tensor2D, name: string) =>
      tf.add(tf.matMul(x, theta[`${name}.weight`] as Tensor2D), theta[`${name}.bias`] ?? 0) as Tensor2D;
    const logits = layer(tf.tanh(layer(points as Tensor2D, "hidden")), "output");
    const wanted = tf.oneHot(labels ?? [], CLASSES);
    return tf.neg(tf.mean(tf.sum(tf.mul(wanted, tf.logSoftmax(logits)), 1))).asScalar();
  },
};

export default model;
