import type { Scalar, Tensor, Tensor1D } from "@tensorflow/tfjs";
import { Unrecoverable } from "../../../protocol/errors.ts";
import { type Ops, oneHot, sizeOf } from "./ops.ts";

type CrossEntropy = { loss: Scalar; dLogits: Tensor };

/** Mean cross-entropy of logits [N, V] against target classes [N], and its gradient for the logits. */
export function crossEntropy(ops: Ops, logits: Tensor, targets: Tensor1D): CrossEntropy {
  return ops.native ? nativeCrossEntropy(ops, logits, targets) : composedCrossEntropy(ops, logits, targets);
}

function nativeCrossEntropy({ tf, native }: Ops, logits: Tensor, targets: Tensor1D): CrossEntropy {
  return tf.tidy(() => {
    const types = { T: { type: "float32" }, Tlabels: { type: "int32" } } as const;
    const kernel = "SparseSoftmaxCrossEntropyWithLogits";
    const [losses, dLosses] = native?.runMany(kernel, types, [logits, targets], 2) ?? [];
    if (!losses || !dLosses) throw new Unrecoverable(`${kernel} gave no result`);
    return { loss: tf.mean(losses) as Scalar, dLogits: tf.mul(dLosses, 1 / targets.size) };
  });
}

function composedCrossEntropy(ops: Ops, logits: Tensor, targets: Tensor1D): CrossEntropy {
  const { tf } = ops;
  return tf.tidy(() => {
    const hot = oneHot(ops, targets, sizeOf(logits, -1));
    const shifted = tf.sub(logits, tf.max(logits, -1, true));
    const exponentials = tf.exp(shifted);
    const sums = tf.sum(exponentials, -1, true);
    const logLikelihood = tf.sum(tf.mul(tf.sub(shifted, tf.log(sums)), hot), -1);
    const dLogits = tf.mul(tf.sub(tf.div(exponentials, sums), hot), 1 / targets.size);
    return { loss: tf.neg(tf.mean(logLikelihood)) as Scalar, dLogits };
  });
}
