import type { Parameter } from "../../protocol/layout.ts";
import { at } from "../../protocol/required.ts";
import { elements } from "../../protocol/safetensors.ts";
import { type DecoderShape, linearLayers } from "../models/decoder-shape.ts";
import { allocate, type Region } from "./shared-memory.ts";

/** A model's parameters where threads see them. Matrices are [outputs, inputs]. */
export type SharedWeights = {
  readonly memories: readonly WebAssembly.Memory[];
  readonly tensors: Readonly<Record<string, Region & { readonly shape: readonly number[] }>>;
};

export type ReadableWeights = {
  readonly parameters: readonly Parameter[];
  /** Reads the values of one parameter into memory of its length. */
  read(parameter: string, into: Float32Array): Promise<Float32Array>;
};

/**
 * Reads parameters to where threads see them, each matrix as [outputs, inputs].
 *
 * @param maxBytes of one memory
 */
export async function loadSharedWeights(
  { parameters, read }: ReadableWeights,
  decoder: Pick<DecoderShape, "blocks" | "head">,
  maxBytes?: number,
): Promise<SharedWeights> {
  const sizes = parameters.map(({ shape }) => 4 * elements(shape));
  const { memories, regions } = allocate(sizes, maxBytes);
  const transposed = new Set(
    linearLayers(decoder).flatMap((layer) => (layer.inputsFirst ? layer.weight : [])),
  );
  const tensors: Record<string, SharedWeights["tensors"][string]> = {};
  let scratch = new Float32Array();
  for (const [i, { name, shape }] of parameters.entries()) {
    const region = at(regions, i, `region of ${name}`);
    const memory = at(memories, region.memory, `memory of ${name}`);
    const values = new Float32Array(memory.buffer, region.offset, elements(shape));
    if (transposed.has(name)) {
      const [rows, columns] = [at(shape, 0, `shape of ${name}`), at(shape, 1, `shape of ${name}`)];
      if (scratch.length < values.length) scratch = new Float32Array(values.length);
      transpose(await read(name, scratch.subarray(0, values.length)), rows, columns, values);
      tensors[name] = { ...region, shape: [columns, rows] };
    } else {
      await read(name, values);
      tensors[name] = { ...region, shape };
    }
  }
  return { memories, tensors };
}

/** The rows of a strip: a cache line of each stays in the cache until all of its columns are done. */
const STRIP = 8;

/** Puts a matrix [rows, columns] into `to` as [columns, rows]. */
function transpose(from: Float32Array, rows: number, columns: number, to: Float32Array): void {
  for (let row = 0; row < rows; row += STRIP) {
    const end = Math.min(rows, row + STRIP);
    for (let column = 0; column < columns; column++) {
      for (let r = row; r < end; r++) to[column * rows + r] = from[r * columns + column] ?? 0;
    }
  }
}
