import type { JobSpec } from "../../protocol/job.ts";

/**
 * Combines the ranks' gradients of one shard, in rank order and float32, so that the same gradients give the same
 * bytes whatever the order of their arrival.
 *
 * @param gradients one per rank, in rank order, all of one length; left as they are
 */
export function reduceGradients(gradients: readonly Float32Array[], reduce: JobSpec["reduce"]): Float32Array {
  const [first = new Float32Array(0), ...others] = gradients;
  const sum = first.slice();
  for (const gradient of others) add(sum, gradient);
  if (reduce === "mean" && gradients.length > 1) scale(sum, 1 / gradients.length);
  return sum;
}

function add(sum: Float32Array, gradient: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = Math.fround((sum[i] as number) + (gradient[i] as number));
}

function scale(sum: Float32Array, factor: number): void {
  const share = Math.fround(factor);
  for (let i = 0; i < sum.length; i++) sum[i] = Math.fround((sum[i] as number) * share);
}

/** Index of the first element that is not finite, or -1. */
export function firstNonFinite(vector: Float32Array): number {
  let sum = 0;
  // x - x is 0 for a finite x and NaN for every other: one cheap pass finds whether there is any.
  for (let i = 0; i < vector.length; i++) sum += (vector[i] as number) - (vector[i] as number);
  return sum === 0 ? -1 : vector.findIndex((value) => !Number.isFinite(value));
}
