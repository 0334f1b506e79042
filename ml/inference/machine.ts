import { type Kernels, kernelsOf, multiply } from "./kernels.ts";
import type { Buffers, DecoderPlan } from "./plan.ts";
import type { Region } from "./slabs.ts";

/** A parameter as a thread sees it. */
export type Parameter = {
  readonly values: Float32Array;
  readonly kernels: Kernels;
  /** In bytes, from the start of its memory. */
  readonly place: number;
  /** Of a matrix; a vector has one row. */
  readonly rows: number;
  readonly width: number;
};

/** A part of a matrix's rows. */
export type Range = { readonly start: number; readonly end: number };

type Vectors = { readonly place: number; readonly stride: number };

/** What one thread computes with: views of the shared memory, and its kernels on each part of it. */
export class Machine {
  readonly plan: DecoderPlan;
  readonly buffers: Buffers;
  readonly own: Buffers["own"][number];
  readonly floats: Float32Array;
  readonly integers: Int32Array;
  /** Tokens of the step. */
  vectors = 0;
  /** Tokens of the step whose logits are wanted. */
  wanted = 0;
  readonly #weights: readonly Kernels[];
  readonly #caches: readonly Kernels[];

  /** @param thread which of the threads this is */
  constructor(plan: DecoderPlan, thread: number) {
    const own = plan.buffers.own[thread];
    if (!own) throw new RangeError(`there is no thread ${thread}`);
    const kernels = (memory: WebAssembly.Memory) => kernelsOf(plan.module, plan.state, memory);
    this.plan = plan;
    this.buffers = plan.buffers;
    this.own = own;
    this.floats = new Float32Array(plan.state.buffer);
    this.integers = new Int32Array(plan.state.buffer);
    this.#weights = plan.weights.slabs.map(kernels);
    this.#caches = plan.cacheSlabs.map(kernels);
  }

  parameter(name: string): Parameter {
    const { slabs, tensors } = this.plan.weights;
    const tensor = tensors[name];
    if (!tensor) throw new Error(`there is no parameter ${name}`);
    const { slab, place, shape } = tensor;
    const [memory, kernels] = [slabs[slab], this.#weights[slab]];
    if (!memory || !kernels) throw new RangeError(`there is no memory ${slab}`);
    const width = shape.at(-1) ?? 1;
    const rows = shape.length > 1 ? (shape[0] ?? 1) : 1;
    return { values: new Float32Array(memory.buffer, place, rows * width), kernels, place, rows, width };
  }

  /** A layer's keys or values. */
  cached({ slab, place }: Region): { values: Float32Array; kernels: Kernels; place: number } {
    const [memory, kernels] = [this.plan.cacheSlabs[slab], this.#caches[slab]];
    if (!memory || !kernels) throw new RangeError(`there is no memory ${slab}`);
    return { values: new Float32Array(memory.buffer), kernels, place };
  }

  /** to += matrix from, for rows of the matrix. */
  addRows(
    { kernels, place, width }: Parameter,
    from: Vectors,
    to: Vectors,
    { start, end }: Range,
    vectors = this.vectors,
  ): void {
    const stride = 4 * width;
    const [matrix, rows] = [place + start * stride, end - start];
    const ends = { from: from.place, fromStride: from.stride, to: to.place + 4 * start, toStride: to.stride };
    multiply(kernels, { matrix, stride, rows, width, vectors, ...ends });
  }

  /** to = bias, or zeros, in a range of each vector. */
  begin(to: Vectors, { start, end }: Range, bias: Parameter | null, vectors = this.vectors): void {
    for (let vector = 0; vector < vectors; vector++) {
      const at = (to.place + vector * to.stride) / 4;
      if (bias) for (let i = start; i < end; i++) this.floats[at + i] = bias.values[i] ?? 0;
      else this.floats.fill(0, at + start, at + end);
    }
  }

  /** to += bias in a range of each vector. */
  addBias(to: Vectors, { start, end }: Range, { values }: Parameter): void {
    const { floats } = this;
    for (let vector = 0; vector < this.vectors; vector++) {
      const at = (to.place + vector * to.stride) / 4;
      for (let i = start; i < end; i++) floats[at + i] = (floats[at + i] ?? 0) + (values[i] ?? 0);
    }
  }

  /** Which token of the step the n-th wanted one is. */
  wantedVector(n: number): number {
    const { place, stride } = this.buffers.tokens;
    return this.integers[(place + 3 * stride) / 4 + n] ?? 0;
  }

  textOf(vector: number): number {
    const { place, stride } = this.buffers.tokens;
    return this.integers[(place + stride) / 4 + vector] ?? 0;
  }

  positionOf(vector: number): number {
    const { place, stride } = this.buffers.tokens;
    return this.integers[(place + 2 * stride) / 4 + vector] ?? 0;
  }
}
