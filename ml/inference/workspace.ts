import { instantiateKernels, type Kernels } from "./kernels.ts";
import { multiply } from "./matrix-product.ts";
import type { Buffers, SharedDecoder } from "./shared-decoder.ts";
import type { Region } from "./shared-memory.ts";

/** A parameter as a thread sees it. */
export type Parameter = {
  readonly values: Float32Array;
  readonly kernels: Kernels;
  /** In bytes, from the start of its memory. */
  readonly offset: number;
  /** Of a matrix; a vector has one row. */
  readonly rows: number;
  readonly width: number;
};

/** A part of a matrix's rows. */
export type Range = { readonly start: number; readonly end: number };

type Vectors = { readonly offset: number; readonly stride: number };

/** What one thread computes with: views of the shared memory, and its kernels on each part of it. */
export class Workspace {
  readonly decoder: SharedDecoder;
  readonly buffers: Buffers;
  readonly own: Buffers["perThread"][number];
  readonly floats: Float32Array;
  readonly integers: Int32Array;
  /** Tokens of the step. */
  vectors = 0;
  /** Tokens of the step whose logits are wanted. */
  wanted = 0;
  readonly #weights: readonly Kernels[];
  readonly #caches: readonly Kernels[];

  /** @param thread which of the threads this is */
  constructor(decoder: SharedDecoder, thread: number) {
    const own = decoder.buffers.perThread[thread];
    if (!own) throw new RangeError(`there is no thread ${thread}`);
    const kernels = (memory: WebAssembly.Memory) => instantiateKernels(decoder.module, decoder.state, memory);
    this.decoder = decoder;
    this.buffers = decoder.buffers;
    this.own = own;
    this.floats = new Float32Array(decoder.state.buffer);
    this.integers = new Int32Array(decoder.state.buffer);
    this.#weights = decoder.weights.memories.map(kernels);
    this.#caches = decoder.cacheMemories.map(kernels);
  }

  parameter(name: string): Parameter {
    const { memories, tensors } = this.decoder.weights;
    const tensor = tensors[name];
    if (!tensor) throw new Error(`there is no parameter ${name}`);
    const { offset, shape } = tensor;
    const [memory, kernels] = [memories[tensor.memory], this.#weights[tensor.memory]];
    if (!memory || !kernels) throw new RangeError(`there is no memory ${tensor.memory}`);
    const width = shape.at(-1) ?? 1;
    const rows = shape.length > 1 ? (shape[0] ?? 1) : 1;
    return { values: new Float32Array(memory.buffer, offset, rows * width), kernels, offset, rows, width };
  }

  /** A layer's keys or values. */
  cacheView(region: Region): { values: Float32Array; kernels: Kernels; offset: number } {
    const [memory, kernels] = [this.decoder.cacheMemories[region.memory], this.#caches[region.memory]];
    if (!memory || !kernels) throw new RangeError(`there is no memory ${region.memory}`);
    return { values: new Float32Array(memory.buffer), kernels, offset: region.offset };
  }

  /** to += matrix from, for rows of the matrix. */
  addProduct(
    { kernels, offset, width }: Parameter,
    from: Vectors,
    to: Vectors,
    { start, end }: Range,
    vectors = this.vectors,
  ): void {
    const stride = 4 * width;
    const [matrix, rows] = [offset + start * stride, end - start];
    const ends = {
      from: from.offset,
      fromStride: from.stride,
      to: to.offset + 4 * start,
      toStride: to.stride,
    };
    multiply(kernels, { matrix, stride, rows, width, vectors, ...ends });
  }

  /** to = bias, or zeros, in a range of each vector. */
  setBias(to: Vectors, { start, end }: Range, bias: Parameter | null, vectors = this.vectors): void {
    for (let vector = 0; vector < vectors; vector++) {
      const at = (to.offset + vector * to.stride) / 4;
      if (bias) for (let i = start; i < end; i++) this.floats[at + i] = bias.values[i] ?? 0;
      else this.floats.fill(0, at + start, at + end);
    }
  }

  /** to += bias in a range of each vector. */
  addBias(to: Vectors, { start, end }: Range, { values }: Parameter): void {
    const { floats } = this;
    for (let vector = 0; vector < this.vectors; vector++) {
      const at = (to.offset + vector * to.stride) / 4;
      for (let i = start; i < end; i++) floats[at + i] = (floats[at + i] ?? 0) + (values[i] ?? 0);
    }
  }

  /** Which token of the step the n-th wanted one is. */
  wantedVector(n: number): number {
    const { offset, stride } = this.buffers.tokens;
    return this.integers[(offset + 3 * stride) / 4 + n] ?? 0;
  }

  textOf(vector: number): number {
    const { offset, stride } = this.buffers.tokens;
    return this.integers[(offset + stride) / 4 + vector] ?? 0;
  }

  positionOf(vector: number): number {
    const { offset, stride } = this.buffers.tokens;
    return this.integers[(offset + 2 * stride) / 4 + vector] ?? 0;
  }
}
