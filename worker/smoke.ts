import { loadBackend } from "../ml/tensorflow/load.ts";
import { describe } from "../protocol/errors.ts";
import { workerExit } from "../protocol/worker-exit.ts";

const SIZE = 64;

/**
 * Prints, as one line of JSON, what a worker would compute on here, after it has checked a product of matrices.
 * `PS_DEVICE` is the device that must be there.
 *
 * @returns the exit status: 0, or 1 when it is not as asked
 */
export async function smoke(env: Readonly<Record<string, string | undefined>>): Promise<number> {
  try {
    const wanted = env.PS_DEVICE === "gpu" || env.PS_DEVICE === "cpu" ? env.PS_DEVICE : "auto";
    const { tf, name, version, device } = await loadBackend("tensorflow", { device: wanted });
    const values = Float32Array.from({ length: SIZE * SIZE }, (_, i) => i % 7);
    const square = tf.tensor2d(values, [SIZE, SIZE]);
    const product = await tf.matMul(square, square).data();
    const matmul = isSquareOf(product, values) ? "right" : "wrong";
    process.stdout.write(`${JSON.stringify({ backend: name, version, device, matmul })}\n`);
    return matmul === "right" ? workerExit.done : workerExit.crashed;
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: describe(error) })}\n`);
    return workerExit.crashed;
  }
}

/** Small whole numbers: float32 has the sums exactly. */
function isSquareOf(product: ArrayLike<number>, values: Float32Array): boolean {
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      let sum = 0;
      for (let k = 0; k < SIZE; k++) sum += (values[row * SIZE + k] ?? 0) * (values[k * SIZE + column] ?? 0);
      if (product[row * SIZE + column] !== sum) return false;
    }
  }
  return true;
}
