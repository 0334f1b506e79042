import { fillNormal } from "../random/streams.ts";

/**
 * Generated data with a known solution: inputs are standard normal, y = x w*, and w* is standard normal as well.
 * An example is a pure function of the seed and its number.
 */
export type LinearBatch = {
  /** [rows, inputs] */
  readonly x: Float32Array;
  /** [rows, outputs] */
  readonly y: Float32Array;
};

/** w*, [inputs, outputs], row after row: what training should find. */
export function solutionOf(seed: number, inputs: number, outputs: number): Float32Array {
  const solution = new Float32Array(inputs * outputs);
  fillNormal(solution, 1, { seed, purpose: "solution", indices: [] });
  return solution;
}

/** The examples of the given numbers, sums taken in double precision. */
export function examplesOf(
  seed: number,
  solution: Float32Array,
  inputs: number,
  numbers: readonly number[],
): LinearBatch {
  const outputs = solution.length / inputs;
  const x = new Float32Array(numbers.length * inputs);
  const y = new Float32Array(numbers.length * outputs);
  for (const [row, number] of numbers.entries()) {
    const input = x.subarray(row * inputs, (row + 1) * inputs);
    fillNormal(input, 1, { seed, purpose: "example", indices: [number] });
    y.set(project(input, solution, outputs), row * outputs);
  }
  return { x, y };
}

function project(x: Float32Array, matrix: Float32Array, outputs: number): Float64Array {
  const y = new Float64Array(outputs);
  for (const [i, value] of x.entries()) {
    for (let j = 0; j < outputs; j++) y[j] = (y[j] ?? 0) + value * (matrix[i * outputs + j] ?? 0);
  }
  return y;
}
