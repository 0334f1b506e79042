import { z } from "zod";
import { elements } from "./safetensors.ts";

/**
 * The offset of every parameter in the flat vector, and the ranges of the shards that the vector is cut into. Written once
 * per job, by its init task; everyone else reads it.
 */
const tensorSchema = z.strictObject({
  name: z.string().min(1),
  shape: z.array(z.int().positive()),
  /** First element in the flat vector. */
  offset: z.int().nonnegative(),
  /** Weight decay applies: true for matrices, false for biases and norms, as nanoGPT does. */
  decay: z.boolean(),
});

const frozenSchema = z.strictObject({
  parameters: z.int().positive(),
  /** Offsets are in the data of `frozen.safetensors`, in elements. */
  tensors: z.array(tensorSchema).min(1),
  /** Where that data starts, in bytes. */
  dataStart: z.int().positive(),
  /** SHA-256 of that data. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export const layoutSchema = z.strictObject({
  /** Those that train: length of the flat vector. */
  parameters: z.int().positive(),
  tensors: z.array(tensorSchema).min(1),
  /** Half-open element ranges [start, end) of the flat vector, in order, without gaps. */
  shards: z.array(z.strictObject({ start: z.int().nonnegative(), end: z.int().positive() })).min(1),
  /** Size of a shard's header, so that its parameters begin at a fixed offset. */
  headerBytes: z.int().positive(),
  /** The parameters that do not train, if there are any; they are in no shard. */
  frozen: frozenSchema.optional(),
});

export type Layout = z.infer<typeof layoutSchema>;
export type Frozen = z.infer<typeof frozenSchema>;
export type Tensor = z.infer<typeof tensorSchema>;
export type Range = { readonly start: number; readonly end: number };

/** A tensor as a model declares it. */
export type Parameter = { readonly name: string; readonly shape: readonly number[] };

/**
 * Lays out `parameters` by name, the order in which safetensors files are written by Hugging Face tools, and cuts
 * the vector into `shards` ranges whose lengths differ by at most one.
 */
export function planLayout(parameters: readonly Parameter[], shards: number, ranks: number): Layout {
  const { tensors, total } = layOutByName(parameters);
  const ranges = Array.from({ length: shards }, (_, s) => ({
    start: Math.floor((total * s) / shards),
    end: Math.floor((total * (s + 1)) / shards),
  }));
  return { parameters: total, tensors, shards: ranges, headerBytes: headerBytes(ranks) };
}

/** Puts tensors end to end in the order of their names, which is that of their UTF-8 bytes. */
export function layOutByName(parameters: readonly Parameter[]): { tensors: Tensor[]; total: number } {
  let total = 0;
  const tensors = [...parameters].sort(byName).map(({ name, shape }) => {
    const tensor = { name, shape: [...shape], offset: total, decay: shape.length >= 2 };
    total += elements(shape);
    return tensor;
  });
  return { tensors, total };
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
  Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));

/** A tensor of the model, and whether its values are among the frozen ones. */
export type ModelTensor = Tensor & { readonly frozen: boolean };

/** All tensors of the model, those that train and those that do not, in the order of their names. */
export function allTensors({ tensors, frozen }: Layout): ModelTensor[] {
  const all = [
    ...tensors.map((tensor) => ({ ...tensor, frozen: false })),
    ...(frozen?.tensors ?? []).map((tensor) => ({ ...tensor, frozen: true })),
  ];
  return all.sort(byName);
}

/** Parameters of the model, frozen ones included. */
export const modelSize = ({ parameters, frozen }: Layout): number => parameters + (frozen?.parameters ?? 0);

/** Bytes for the JSON header of a shard: a fixed part, and one record per rank; a multiple of 4 KiB. */
const headerBytes = (ranks: number): number => Math.ceil((2048 + 512 * ranks) / 4096) * 4096;

/** Length of a shard in elements. */
export const lengthOf = (range: Range): number => range.end - range.start;

/** The tensor that holds element `index` of the flat vector, for messages to people. */
export function tensorAt(layout: Layout, index: number): Tensor | undefined {
  return layout.tensors.findLast((tensor) => tensor.offset <= index);
}

/** The parts of a shard in which weight decay applies, as element ranges relative to the shard's start. */
export function decayRanges(layout: Layout, shard: Range): Range[] {
  const ranges: Range[] = [];
  for (const { offset, shape, decay } of layout.tensors) {
    const start = Math.max(offset, shard.start);
    const end = Math.min(offset + elements(shape), shard.end);
    if (decay && start < end) ranges.push({ start: start - shard.start, end: end - shard.start });
  }
  return ranges;
}
