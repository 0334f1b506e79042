import { at } from "../../protocol/required.ts";
import { multiply } from "./matrix-product.ts";
import { roundUp } from "./shared-decoder.ts";
import type { Stage } from "./stages.ts";
import type { CacheView, Workspace } from "./workspace.ts";

/** The score of a position after the last one. */
const HIDDEN = -1e30;

/**
 * Keeps the keys and values of a step's tokens and lets the tokens attend to their text up to themselves; a slice is a
 * key head. Queries and keys are rotated by their positions first, where the model does so.
 */
export function attention(workspace: Workspace, layer: number): Stage {
  const { decoder } = workspace;
  const cache = at(decoder.cache, layer, "cache of a layer");
  const [keys, values] = [workspace.cacheView(cache.keys), workspace.cacheView(cache.values)];
  return {
    slices: decoder.shape.keyHeads,
    run(head) {
      for (let vector = 0; vector < workspace.vectors; vector++) {
        rotate(workspace, vector, head);
        keep(workspace, vector, head, keys, values);
      }
      for (let vector = 0; vector < workspace.vectors; vector++) {
        attend(workspace, vector, head, keys, values);
      }
    },
  };
}

/** The float indices of a key head's queries, key and value of a token. */
function headsOf({ decoder, buffers }: Workspace, vector: number, head: number) {
  const { heads, keyHeads, headWidth } = decoder.shape;
  const start = (buffers.qkv.offset + vector * buffers.qkv.stride) / 4;
  return {
    queries: start + head * (heads / keyHeads) * headWidth,
    key: start + (heads + head) * headWidth,
    value: start + (heads + keyHeads + head) * headWidth,
  };
}

/** Rotates pairs of elements, in the half-and-half order of Hugging Face's Llama. */
function rotate(workspace: Workspace, vector: number, head: number): void {
  const { floats, buffers, decoder } = workspace;
  const { heads, keyHeads, headWidth, frequencies } = decoder.shape;
  const half = frequencies.length;
  if (half === 0) return;
  const { queries, key } = headsOf(workspace, vector, head);
  const cosine = (buffers.rotation.offset + vector * buffers.rotation.stride) / 4;
  const group = heads / keyHeads;
  for (let one = 0; one <= group; one++) {
    const start = one < group ? queries + one * headWidth : key;
    for (let i = 0; i < half; i++) {
      const [a, b] = [floats[start + i] ?? 0, floats[start + half + i] ?? 0];
      const [c, s] = [floats[cosine + i] ?? 0, floats[cosine + half + i] ?? 0];
      floats[start + i] = a * c - b * s;
      floats[start + half + i] = b * c + a * s;
    }
  }
}

/** The float index in a layer's cache of a text's head. */
const startOf = (
  { decoder: { shape, texts } }: Workspace,
  { offset }: CacheView,
  text: number,
  head: number,
): number => offset / 4 + (text * shape.keyHeads + head) * texts.length * shape.headWidth;

/** Writes a token's key and value into the cache. */
function keep(workspace: Workspace, vector: number, head: number, keys: CacheView, values: CacheView): void {
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

/** attended = softmax(queries keys / sqrt(head's width)) values */
function attend(
  workspace: Workspace,
  vector: number,
  head: number,
  keys: CacheView,
  values: CacheView,
): void {
  const { floats, buffers, own, decoder } = workspace;
  const { heads, keyHeads, headWidth } = decoder.shape;
  const group = heads / keyHeads;
  const { queries } = headsOf(workspace, vector, head);
  const text = workspace.textOf(vector);
  const seen = workspace.positionOf(vector) + 1;
  const whole = roundUp(seen);
  const { offset, stride } = own.scores;
  scale(floats, queries, group * headWidth, 1 / Math.sqrt(headWidth));
  fillScores(workspace, 0, seen, 0);
  fillScores(workspace, seen, whole, HIDDEN);
  multiply(keys.kernels, {
    ...{ matrix: 4 * startOf(workspace, keys, text, head), stride: 4 * headWidth },
    ...{ rows: seen, width: headWidth, vectors: group },
    ...{ from: 4 * queries, fromStride: 4 * headWidth, to: offset, toStride: stride },
  });
  for (let i = 0; i < group; i++) keys.kernels.softmax(offset + i * stride, 4 * whole);
  fillScores(workspace, seen, whole, 0);
  const to = buffers.attended.offset + vector * buffers.attended.stride + 4 * head * group * headWidth;
  floats.fill(0, to / 4, to / 4 + group * headWidth);
  multiply(values.kernels, {
    ...{ matrix: 4 * startOf(workspace, values, text, head), stride: 4 * decoder.texts.length },
    ...{ rows: headWidth, width: whole, vectors: group },
    ...{ from: offset, fromStride: stride, to, toStride: 4 * headWidth },
  });
}

function scale(floats: Float32Array, start: number, count: number, factor: number): void {
  for (let i = start; i < start + count; i++) floats[i] = (floats[i] ?? 0) * factor;
}

/** Sets the scores of some positions, for each query of a key head. */
function fillScores(
  { floats, own: { scores }, decoder: { shape } }: Workspace,
  start: number,
  end: number,
  value: number,
): void {
  for (let query = 0; query < shape.heads / shape.keyHeads; query++) {
    const first = (scores.offset + query * scores.stride) / 4;
    floats.fill(value, first + start, first + end);
  }
}
