import { at } from "../../protocol/required.ts";
import type { DecoderShape } from "../models/decoder-shape.ts";
import { allocate, type Region, sharedMemory } from "./shared-memory.ts";
import type { SharedWeights } from "./shared-weights.ts";

/** The texts that a decoder holds at a time. */
export type Texts = {
  readonly count: number;
  /** The most tokens of a text. */
  readonly length: number;
};

/** The most tokens of a step, of one text or of several. */
export const MAX_VECTORS = 64;

/**
 * All that a thread needs to take part in a decoder's steps; its memories are shared. The state's buffers have a vector
 * for each token of a step; offsets and strides are in bytes.
 */
export type SharedDecoder = {
  readonly shape: DecoderShape;
  readonly texts: Texts;
  readonly module: WebAssembly.Module;
  readonly weights: SharedWeights;
  readonly state: WebAssembly.Memory;
  readonly buffers: Buffers;
  /**
   * Of each layer: keys, [texts, key heads, length, head's width], and values, [texts, key heads, head's width,
   * length], so that both are rows of a matrix.
   */
  readonly cache: readonly { readonly keys: Region; readonly values: Region }[];
  readonly cacheMemories: readonly WebAssembly.Memory[];
};

/** Rows of the tokens of a step: their ids, their texts, their positions, and which of them want logits. */
export const TOKEN_ROWS = { id: 0, text: 1, position: 2, wanted: 3 } as const;

type Buffer = { readonly offset: number; readonly stride: number };

export type Buffers = {
  /** Integers, in the rows of `TOKEN_ROWS`. */
  readonly tokens: Buffer;
  /** The residual stream. */
  readonly x: Buffer;
  /** Queries, keys and values, head after head. */
  readonly qkv: Buffer;
  readonly attended: Buffer;
  readonly hidden: Buffer;
  /** The factors of the hidden layer, where it is gated. */
  readonly up: Buffer;
  /** Cosines, then sines, of a token's position. */
  readonly rotation: Buffer;
  readonly logits: Buffer;
  /** For each thread: normed vectors, and scores of the queries of a key head. */
  readonly perThread: readonly { readonly normed: Buffer; readonly scores: Buffer }[];
};

/** An odd number of cache lines, so that vectors do not compete for the same ones, and whole vectors of four. */
const strideOf = (floats: number): number => (Math.ceil(floats / 16) | 1) * 64;

/** Positions of a text, rounded up to whole passes of the kernels. */
export const roundUp = (positions: number): number => Math.ceil(positions / 8) * 8;

export function createSharedDecoder(
  shape: DecoderShape,
  weights: SharedWeights,
  { count, length }: Texts,
  { module, threads }: { readonly module: WebAssembly.Module; readonly threads: number },
): SharedDecoder {
  const texts: Texts = { count, length: roundUp(length) };
  const { buffers, bytes } = planBuffers(shape, texts, threads);
  const size = 4 * texts.count * shape.keyHeads * texts.length * shape.headWidth;
  const { memories, regions } = allocate(Array<number>(2 * shape.blocks.length).fill(size));
  const cache = Array.from({ length: shape.blocks.length }, (_, layer) => ({
    keys: at(regions, 2 * layer, "region of the cache"),
    values: at(regions, 2 * layer + 1, "region of the cache"),
  }));
  const state = sharedMemory(bytes);
  return { shape, texts, module, weights, state, buffers, cache, cacheMemories: memories };
}

function planBuffers(shape: DecoderShape, texts: Texts, threads: number) {
  let bytes = 0;
  const buffer = (floats: number, count = MAX_VECTORS): Buffer => {
    const [offset, stride] = [bytes, strideOf(floats)];
    bytes += count * stride;
    return { offset, stride };
  };
  const { width, heads, keyHeads, headWidth, hidden, vocabulary } = shape;
  const buffers: Buffers = {
    tokens: buffer(MAX_VECTORS, Object.keys(TOKEN_ROWS).length),
    x: buffer(width),
    qkv: buffer((heads + 2 * keyHeads) * headWidth),
    attended: buffer(heads * headWidth),
    hidden: buffer(hidden),
    up: buffer(shape.blocks.some(({ mlp }) => mlp.type === "swiglu") ? hidden : 0),
    rotation: buffer(2 * shape.frequencies.length),
    logits: buffer(vocabulary),
    perThread: Array.from({ length: threads }, () => ({
      normed: buffer(width),
      scores: buffer(texts.length, heads / keyHeads),
    })),
  };
  return { buffers, bytes };
}
