import type { Tensor } from "@tensorflow/tfjs";
import type { Ops } from "./ops.ts";

/** silu(gate) * up, where silu(x) = x sigmoid(x). Source: Shazeer 2020, eq. 6. */
export function swiglu({ tf }: Ops, gate: Tensor, up: Tensor): Tensor {
  return tf.tidy(() => tf.mul(tf.mul(gate, tf.sigmoid(gate)), up));
}

/** The same with its slopes: a backward pass needs all, and they share most of their work. */
export function swigluWithSlopes({ tf }: Ops, gate: Tensor, up: Tensor) {
  return tf.tidy(() => {
    const open = tf.sigmoid(gate);
    const silu = tf.mul(gate, open);
    // silu' = sigmoid + silu (1 - sigmoid)
    const slope = tf.add(open, tf.sub(silu, tf.mul(silu, open)));
    return { y: tf.mul(silu, up), byGate: tf.mul(up, slope), byUp: silu };
  });
}
