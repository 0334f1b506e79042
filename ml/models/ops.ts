import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import type { Tf } from "../tensorflow/backend.ts";
import { type NativeOps, nativeOps } from "../tensorflow/native-ops.ts";

/**
 * The operations of a transformer, each as a forward function and the backward function that turns the gradient of
 * its output into those of its inputs. They take the place of tfjs's tape, which keeps every intermediate result
 * until the step ends. Every function is tidied: it makes only the tensors that it returns.
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
const oneHot = (tf: Tf, ids: Tensor, classes: number): Tensor =>
  tf.tidy(() => tf.cast(tf.oneHot(ids as Tensor1D, classes), "float32"));

/** Sums of columns, [N, C] -> [C]; as a product with ones, the fastest way measured. */
export function columnSums({ tf }: Ops, x: Tensor): Tensor1D {
  const [rows = 0, columns = 0] = x.shape;
  return tf.tidy(() => tf.matMul(tf.ones([1, rows]), x as Tensor2D).reshape([columns]));
}

const rowMeans = (tf: Tf, x: Tensor): Tensor => tf.mul(tf.sum(x, -1, true), 1 / (x.shape.at(-1) ?? 1));

/** x w + b: [N, I], [I, O], [O] -> [N, O]. */
export function linear({ tf }: Ops, x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  return tf.tidy(() => tf.add(tf.matMul(x, weight), bias));
}

export function linearBackward(ops: Ops, dy: Tensor, x: Tensor, weight: Tensor) {
  return {
    dx: timesTransposed(ops, dy, weight),
    dWeight: transposedTimes(ops, x, dy),
    dBias: columnSums(ops, dy),
  };
}

export type LayerNorm = {
  /** [N, C] */
  readonly y: Tensor;
  /** What is left of x: mean 0 and variance 1 in each row. */
  readonly normalized: Tensor;
  /** 1 / sqrt(variance + epsilon), [N, 1]. */
  readonly inverse: Tensor;
};

/** Layer normalization over columns with gain and bias [C]. Source: Ba, Kiros, Hinton 2016, eq. 4. */
export function layerNorm({ tf }: Ops, x: Tensor, gain: Tensor, bias: Tensor, epsilon: number): LayerNorm {
  return tf.tidy(() => {
    const centred = tf.sub(x, rowMeans(tf, x));
    const inverse = tf.rsqrt(tf.add(rowMeans(tf, tf.square(centred)), epsilon));
    const normalized = tf.mul(centred, inverse);
    return { y: tf.add(tf.mul(normalized, gain), bias), normalized, inverse };
  });
}

export function layerNormBackward(ops: Ops, dy: Tensor, norm: Omit<LayerNorm, "y">, gain: Tensor) {
  const { tf } = ops;
  const { normalized, inverse } = norm;
  return tf.tidy(() => {
    const d = tf.mul(dy, gain);
    // The mean and the part along `normalized` change with x as well: take both out.
    const alongX = tf.mul(normalized, rowMeans(tf, tf.mul(d, normalized)));
    const dx = tf.mul(tf.sub(tf.sub(d, rowMeans(tf, d)), alongX), inverse);
    return { dx, dGain: columnSums(ops, tf.mul(dy, normalized)), dBias: columnSums(ops, dy) };
  });
}

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** tanh(sqrt(2/pi) (x + 0.044715 x³)), given x². */
const geluTanh = (tf: Tf, x: Tensor, square: Tensor): Tensor =>
  tf.tanh(tf.mul(tf.add(tf.mul(square, CUBIC * SQRT_2_OVER_PI), SQRT_2_OVER_PI), x));

/** GELU in the tanh form of GPT-2 ("gelu_new"). Source: Hendrycks, Gimpel 2016, section 2. */
export function gelu({ tf }: Ops, x: Tensor): Tensor {
  return tf.tidy(() => tf.mul(x, geluShare(tf, x, tf.square(x))));
}

/** The same with its slope: a backward pass needs both, and they share most of their work. */
export function geluWithSlope({ tf }: Ops, x: Tensor): { y: Tensor; slope: Tensor } {
  return tf.tidy(() => {
    const square = tf.square(x);
    const share = geluShare(tf, x, square);
    const y = tf.mul(x, share);
    const inner = tf.add(tf.mul(square, 6 * CUBIC * SQRT_2_OVER_PI), 2 * SQRT_2_OVER_PI);
    return { y, slope: tf.add(share, tf.mul(tf.mul(y, tf.sub(1, share)), inner)) };
  });
}

/** What GELU lets through of x, from 0 to 1. */
const geluShare = (tf: Tf, x: Tensor, square: Tensor): Tensor =>
  tf.mul(tf.add(geluTanh(tf, x, square), 1), 0.5);

/** Mean cross-entropy of logits [N, V] against target classes [N], and its gradient for the logits. */
export function crossEntropy(ops: Ops, logits: Tensor, targets: Tensor) {
  return ops.native ? nativeCrossEntropy(ops, logits, targets) : composedCrossEntropy(ops, logits, targets);
}

type CrossEntropy = { loss: Scalar; dLogits: Tensor };

function nativeCrossEntropy({ tf, native }: Ops, logits: Tensor, targets: Tensor): CrossEntropy {
  return tf.tidy(() => {
    const types = { T: { type: "float32" }, Tlabels: { type: "int32" } } as const;
    const kernel = "SparseSoftmaxCrossEntropyWithLogits";
    const [losses, dLosses] = native?.runMany(kernel, types, [logits, targets], 2) ?? [];
    if (!losses || !dLosses) throw new Error(`${kernel} gave no result`);
    return { loss: tf.mean(losses) as Scalar, dLogits: tf.mul(dLosses, 1 / targets.size) };
  });
}

function composedCrossEntropy({ tf }: Ops, logits: Tensor, targets: Tensor): CrossEntropy {
  return tf.tidy(() => {
    const hot = oneHot(tf, targets, logits.shape.at(-1) ?? 0);
    const shifted = tf.sub(logits, tf.max(logits, -1, true));
    const exponentials = tf.exp(shifted);
    const sums = tf.sum(exponentials, -1, true);
    const logLikelihood = tf.sum(tf.mul(tf.sub(shifted, tf.log(sums)), hot), -1);
    const dLogits = tf.mul(tf.sub(tf.div(exponentials, sums), hot), 1 / targets.size);
    return { loss: tf.neg(tf.mean(logLikelihood)) as Scalar, dLogits };
  });
}

/** Adds up rows of dy [N, C] that belong to the same row of a table [V, C]: the gradient of a look-up. */
export function lookUpBackward(ops: Ops, dy: Tensor, ids: Tensor1D, rows: number): Tensor {
  const { tf, native } = ops;
  // wasm has no kernel for segment sums.
  if (native) return tf.unsortedSegmentSum(dy, ids, rows);
  return tf.tidy(() => transposedTimes(ops, oneHot(tf, ids, rows), dy));
}
