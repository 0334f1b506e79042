import type { Tensor } from "@tensorflow/tfjs";
import type { Kit } from "./ops.ts";

/** silu(gate) * up, where silu(x) = x sigmoid(x). Source: Shazeer 2020, eq. 6. */
export function swiglu({ tf }: Kit, gate: Tensor, up: Tensor): Tensor {
  return tf.tidy(() => tf.mul(tf.mul(gate, tf.sigmoid(gate)), up));
}

/** Computes the sigmoid again rather than keep it. */
export function swigluBackward({ tf }: Kit, dy: Tensor, gate: Tensor, up: Tensor) {
  return tf.tidy(() => {
    const open = tf.sigmoid(gate);
    const silu = tf.mul(gate, open);
    // silu' = sigmoid + silu (1 - sigmoid)
    const slope = tf.add(open, tf.sub(silu, tf.mul(silu, open)));
    return { dGate: tf.mul(tf.mul(dy, up), slope), dUp: tf.mul(dy, silu) };
  });
}
