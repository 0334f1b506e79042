import { Bug } from "../../protocol/errors.ts";
import { at, required } from "../../protocol/required.ts";
import { elements } from "../../protocol/safetensors.ts";
import { instantiateKernels, type Kernels } from "./kernels.ts";
import { multiply } from "./matrix-product.ts";
import { type Buffers, type SharedDecoder, TOKEN_ROWS } from "./shared-decoder.ts";
import type { Region } from "./shared-memory.ts";

/** A parameter as a thread sees it. */
export type Parameter = {
  readonly values: Float32Array;
  readonly kernels: Kernels;
  /** Bytes from the start of its memory. */
  readonly offset: number;
  /** Rows of a matrix; a vector has one. */
  readonly rows: number;
  readonly width: number;
};

/** Keys or values of all texts at a layer, as a thread sees them. */
export type CacheView = {
  /** All of the memory. */
  readonly values: Float32Array;
  readonly kernels: Kernels;
  /** Bytes from the start of the memory. */
  readonly offset: number;
};

/** A part of a matrix's rows. */
export type Range = { readonly start: number; readonly end: number };

type Vectors = { readonly offset: number; readonly stride: number };

/** Views of the shared memory that one thread computes with, and its kernels on each part of it. */
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
    if (!own) throw new Bug(`there is no thread ${thread}`);
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
    const { offset, shape, memory: index } = required(tensors[name], `parameter ${name}`);
    const memory = at(memories, index, `memory of ${name}`);
    const kernels = at(this.#weights, index, `memory of ${name}`);
    const width = at(shape, shape.length - 1, `width of ${name}`);
    const rows = elements(shape) / width;
    return { values: new Float32Array(memory.buffer, offset, rows * width), kernels, offset, rows, width };
  }

  /** A layer's keys or values. */
  cacheView({ memory: index, offset }: Region): CacheView {
    const memory = at(this.decoder.cacheMemories, index, "memory of the cache");
    const kernels = at(this.#caches, index, "memory of the cache");
    return { values: new Float32Array(memory.buffer), kernels, offset };
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

  /** The token of the step that is the n-th whose logits are wanted. */
  wantedVector(n: number): number {
    return this.#ofToken(TOKEN_ROWS.wanted, n);
  }

  textOf(vector: number): number {
    return this.#ofToken(TOKEN_ROWS.text, vector);
  }

  positionOf(vector: number): number {
    return this.#ofToken(TOKEN_ROWS.position, vector);
  }

  #ofToken(row: number, i: number): number {
    const { offset, stride } = this.buffers.tokens;
    return this.integers[(offset + row * stride) / 4 + i] ?? 0;
  }
}
