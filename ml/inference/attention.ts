import type { Kernels } from "./kernels.ts";
import { multiply } from "./matrix-product.ts";
import { roundUp } from "./shared-decoder.ts";
import type { Stage } from "./stages.ts";
import type { Workspace } from "./workspace.ts";

/** The score of a position that is not there. */
const HIDDEN = -1e30;

type Cached = { readonly values: Float32Array; readonly kernels: Kernels; readonly offset: number };

/**
 * Keeps the keys and values of a step's tokens and lets them attend to those of their text up to themselves, a key
 * head at a time. Its queries, keys and values are turned by their positions first, where the model does so.
 */
export function attention(workspace: Workspace, layer: number): Stage {
  const { decoder } = workspace;
  const { keyHeads } = decoder.shape;
  const cache = decoder.cache[layer];
  if (!cache) throw new RangeError(`there is no layer ${layer}`);
  const [keys, values] = [workspace.cacheView(cache.keys), workspace.cacheView(cache.values)];
  return {
    slices: keyHeads,
    run(head) {
      for (let vector = 0; vector < workspace.vectors; vector++) {
        turn(workspace, vector, head);
        keep(workspace, vector, head, keys, values);
      }
      for (let vector = 0; vector < workspace.vectors; vector++)
        attend(workspace, vector, head, keys, values);
    },
  };
}

/** Where a key head's queries, keys and values of a token are, as float indices. */
function headsOf({ decoder, buffers }: Workspace, vector: number, head: number) {
  const { heads, keyHeads, headWidth } = decoder.shape;
  const at = (buffers.qkv.offset + vector * buffers.qkv.stride) / 4;
  return {
    queries: at + head * (heads / keyHeads) * headWidth,
    key: at + (heads + head) * headWidth,
    value: at + (heads + keyHeads + head) * headWidth,
  };
}

/** Turns pairs of elements, in the half-and-half order of Hugging Face's Llama. */
function turn(workspace: Workspace, vector: number, head: number): void {
  const { floats, buffers, decoder } = workspace;
  const { heads, keyHeads, headWidth, frequencies } = decoder.shape;
  const half = frequencies.length;
  if (half === 0) return;
  const { queries, key } = headsOf(workspace, vector, head);
  const cosine = (buffers.rotation.offset + vector * buffers.rotation.stride) / 4;
  for (let one = 0; one <= heads / keyHeads; one++) {
    const at = one < heads / keyHeads ? queries + one * headWidth : key;
    for (let i = 0; i < half; i++) {
      const [a, b] = [floats[at + i] ?? 0, floats[at + half + i] ?? 0];
      const [c, s] = [floats[cosine + i] ?? 0, floats[cosine + half + i] ?? 0];
      floats[at + i] = a * c - b * s;
      floats[at + half + i] = b * c + a * s;
    }
  }
}

/** Where a layer's cache has a text's head, as a float index. */
const startOf = (
  { decoder: { shape, texts } }: Workspace,
  { offset }: Cached,
  text: number,
  head: number,
): number => offset / 4 + (text * shape.keyHeads + head) * texts.length * shape.headWidth;

function keep(workspace: Workspace, vector: number, head: number, keys: Cached, values: Cached): void {
  const { floats, decoder } = workspace;
  const { headWidth } = decoder.shape;
  const { key, value } = headsOf(workspace, vector, head);
  const [text, position] = [workspace.textOf(vector), workspace.positionOf(vector)];
  const toKey = startOf(workspace, keys, text, head) + position * headWidth;
  const toValue = startOf(workspace, values, text, head) + position;
  for (let i = 0; i < headWidth; i++) {
    keys.values[toKey + i] = floats[key + i] ?? 0;
    values.values[toValue + i * decoder.texts.length] = floats[value + i] ?? 0;
  }
}

function attend(workspace: Workspace, vector: number, head: number, keys: Cached, values: Cached): void {
  const { floats, buffers, own, decoder } = workspace;
  const { heads, keyHeads, headWidth } = decoder.shape;
  const group = heads / keyHeads;
  const { queries } = headsOf(workspace, vector, head);
  const text = workspace.textOf(vector);
  const seen = workspace.positionOf(vector) + 1;
  const whole = roundUp(seen);
  const { offset, stride } = own.scores;
  scale(floats, queries, group * headWidth, 1 / Math.sqrt(headWidth));
  fill(workspace, 0, seen, 0);
  fill(workspace, seen, whole, HIDDEN);
  multiply(keys.kernels, {
    ...{
      matrix: 4 * startOf(workspace, keys, text, head),
      stride: 4 * headWidth,
      rows: seen,
      width: headWidth,
    },
    ...{ vectors: group, from: 4 * queries, fromStride: 4 * headWidth, to: offset, toStride: stride },
  });
  for (let i = 0; i < group; i++) keys.kernels.softmax(offset + i * stride, 4 * whole);
  fill(workspace, seen, whole, 0);
  const to = buffers.attended.offset + vector * buffers.attended.stride + 4 * head * group * headWidth;
  floats.fill(0, to / 4, to / 4 + group * headWidth);
  multiply(values.kernels, {
    ...{
      matrix: 4 * startOf(workspace, values, text, head),
      stride: 4 * decoder.texts.length,
      rows: headWidth,
    },
    ...{ width: whole, vectors: group, from: offset, fromStride: stride, to, toStride: 4 * headWidth },
  });
}

function scale(floats: Float32Array, start: number, count: number, factor: number): void {
  for (let i = start; i < start + count; i++) floats[i] = (floats[i] ?? 0) * factor;
}

/** Puts a value to places of the scores of each query. */
function fill(
  { floats, own: { scores }, decoder: { shape } }: Workspace,
  start: number,
  end: number,
  value: number,
): void {
  for (let query = 0; query < shape.heads / shape.keyHeads; query++) {
    const at = (scores.offset + query * scores.stride) / 4;
    floats.fill(value, at + start, at + end);
  }
}
