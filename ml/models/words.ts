import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import { lookUpBackward, type Ops } from "./ops.ts";

/**
 * The gradient of an embedding table [V, C] from that of what was looked up, dx [N, C]. The padding token's row gets
 * none, as with the `padding_idx` of PyTorch's `nn.Embedding`.
 */
export function wordsBackward(
  ops: Ops,
  dx: Tensor,
  ids: Tensor1D,
  { vocabulary, padding }: { readonly vocabulary: number; readonly padding: number | null },
): Tensor {
  const { tf } = ops;
  if (padding === null) return lookUpBackward(ops, dx, ids, vocabulary);
  return tf.tidy(() => {
    const read = tf.cast(tf.notEqual(ids, tf.scalar(padding, "int32")), "float32");
    return lookUpBackward(ops, tf.mul(dx, tf.reshape(read, [-1, 1])), ids, vocabulary);
  });
}
