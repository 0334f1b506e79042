import type { Parameter, Workspace } from "./workspace.ts";

/** Norms a vector of the residual stream from float index `from` to float index `to`. */
export type Norm = (floats: Float32Array, from: number, to: number) => void;

/** Source: Ba, Kiros, Hinton 2016, eq. 4. */
export function layerNorm(
  { values: gain, width }: Parameter,
  { values: bias }: Parameter,
  epsilon: number,
): Norm {
  return (floats, from, to) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += floats[from + i] ?? 0;
    const mean = sum / width;
    let squares = 0;
    for (let i = 0; i < width; i++) squares += ((floats[from + i] ?? 0) - mean) ** 2;
    const inverse = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) {
      floats[to + i] = ((floats[from + i] ?? 0) - mean) * inverse * (gain[i] ?? 0) + (bias[i] ?? 0);
    }
  };
}

/** Source: Zhang, Sennrich 2019, eq. 4. */
export function rmsNorm({ values: gain, width }: Parameter, epsilon: number): Norm {
  return (floats, from, to) => {
    let squares = 0;
    for (let i = 0; i < width; i++) squares += (floats[from + i] ?? 0) ** 2;
    const inverse = 1 / Math.sqrt(squares / width + epsilon);
    for (let i = 0; i < width; i++) floats[to + i] = (floats[from + i] ?? 0) * inverse * (gain[i] ?? 0);
  };
}

/** Norms every token's vector into the thread's own buffer. */
export function normAll({ floats, buffers, own, vectors }: Workspace, norm: Norm): void {
  for (let i = 0; i < vectors; i++) {
    norm(
      floats,
      (buffers.x.offset + i * buffers.x.stride) / 4,
      (own.normed.offset + i * own.normed.stride) / 4,
    );
  }
}

/** Norms the vectors of the tokens whose logits are wanted, in their order. */
export function normWanted(workspace: Workspace, norm: Norm): void {
  const { floats, buffers, own, wanted } = workspace;
  for (let i = 0; i < wanted; i++) {
    const from = buffers.x.offset + workspace.wantedVector(i) * buffers.x.stride;
    norm(floats, from / 4, (own.normed.offset + i * own.normed.stride) / 4);
  }
}
