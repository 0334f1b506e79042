import type { Tensor, Tensor1D } from "@tensorflow/tfjs";
import type { Tokens } from "../model.ts";
import { type Ops, oneHot, sizeOf, transposedTimes } from "./ops.ts";

/** Adds up rows of dy [N, C] that belong to the same row of a table [V, C]: the gradient of a look-up. */
export function lookUpBackward(ops: Ops, dy: Tensor, ids: Tensor1D, rows: number): Tensor {
  const { tf, native } = ops;
  // wasm has no kernel for segment sums.
  if (native) return tf.unsortedSegmentSum(dy, ids, rows);
  return tf.tidy(() => transposedTimes(ops, oneHot(ops, ids, rows), dy));
}

/**
 * The gradient of a table of token embeddings [V, C] from that of what was looked up, dx [N, C]. The padding token's
 * row gets none, as with the `padding_idx` of PyTorch's `nn.Embedding`.
 */
export function tokensBackward(
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

/** Adds the embeddings of positions, the first rows of a table, to those of B T tokens, [B T, C]. */
export function addPositions(
  { tf }: Ops,
  x: Tensor,
  table: Tensor,
  { sequences, length }: Pick<Tokens, "sequences" | "length">,
): Tensor {
  return tf.tidy(() => {
    const rows = tf.reshape(x, [sequences, length, -1]);
    const positions = tf.slice(table, 0, length);
    return tf.reshape(tf.add(rows, positions), [sequences * length, -1]);
  });
}

/** The gradient of a table of position embeddings; positions that no sequence reached have none. */
export function positionsBackward(
  ops: Ops,
  dx: Tensor,
  { sequences, length }: Pick<Tokens, "sequences" | "length">,
  context: number,
): Tensor {
  const { tf } = ops;
  return tf.tidy(() => {
    const perPosition = tf.sum(tf.reshape(dx, [sequences, length, -1]), 0);
    return padRows(ops, perPosition, context);
  });
}

/** Adds rows of zeros at the end, up to so many. */
export const padRows = ({ tf }: Ops, x: Tensor, rows: number): Tensor =>
  tf.pad(x, [
    [0, rows - sizeOf(x, 0)],
    [0, 0],
  ]);
