import type { Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { Bug } from "../../../protocol/errors.ts";
import type { Tf } from "../../tensorflow/backend.ts";
import { type NativeOps, nativeOps } from "../../tensorflow/native-ops.ts";

/**
 * The tensor operations of a backend, for the layers of this folder. Each layer has a forward function and a backward
 * function that turns the gradient of its output into those of its inputs. They take the place of tfjs's tape, which
 * keeps every intermediate result until the step ends. Every function is tidied: it makes only the tensors that it
 * returns.
 *
 * Shapes: N rows (tokens of a batch, B sequences of T), C columns (width), H heads of D = C / H.
 */
export type Ops = {
  readonly tf: Tf;
  /** TensorFlow's own kernels, on the native backend. */
  readonly native: NativeOps | undefined;
};

export const opsOf = (tf: Tf): Ops => ({ tf, native: nativeOps(tf) });

/** a bᵀ. The wasm kernel is twenty times slower with its transpose flags than after a transpose. */
export function timesTransposed({ tf, native }: Ops, a: Tensor, b: Tensor): Tensor {
  return native ? tf.matMul(a, b, false, true) : tf.tidy(() => tf.matMul(a, swapLast(tf, b)));
}

/** aᵀ b. */
export function transposedTimes({ tf, native }: Ops, a: Tensor, b: Tensor): Tensor {
  return native ? tf.matMul(a, b, true, false) : tf.tidy(() => tf.matMul(swapLast(tf, a), b));
}

function swapLast(tf: Tf, x: Tensor): Tensor {
  const order = x.shape.map((_, i) => i);
  return tf.transpose(x, [...order.slice(0, -2), x.rank - 1, x.rank - 2]);
}

/** [N] -> [N, classes]. By way of whole numbers: asked for floats, the wasm kernel answers zeros. */
export const oneHot = ({ tf }: Ops, ids: Tensor1D, classes: number): Tensor =>
  tf.tidy(() => tf.cast(tf.oneHot(ids, classes), "float32"));

/** Sums of columns, [N, C] -> [C]; as a product with ones, the fastest way measured. */
export function columnSums({ tf }: Ops, x: Tensor): Tensor1D {
  return tf.tidy(() => tf.matMul(tf.ones([1, sizeOf(x, 0)]), x as Tensor2D).reshape([sizeOf(x, -1)]));
}

/** Means of rows, [N, C] -> [N, 1]. */
export const rowMeans = ({ tf }: Ops, x: Tensor): Tensor =>
  tf.tidy(() => tf.mul(tf.sum(x, -1, true), 1 / sizeOf(x, -1)));

/**
 * The size of an axis, of which -1 is the last.
 *
 * @throws Bug when the tensor has no such axis
 */
export function sizeOf({ shape }: Tensor, axis: number): number {
  const size = shape.at(axis);
  if (size === undefined) throw new Bug(`a tensor of shape [${shape}] has no axis ${axis}`);
  return size;
}

/** The sum of tensors of one shape, of which there is at least one. */
export function sum({ tf }: Ops, [first, ...others]: readonly [Tensor, ...Tensor[]]): Tensor {
  const [second, ...more] = others;
  if (!second) return first;
  return more.length === 0 ? tf.add(first, second) : tf.addN([first, ...others]);
}
