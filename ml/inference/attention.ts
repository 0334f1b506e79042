import { type Kernels, multiply } from "./kernels.ts";
import type { Machine } from "./machine.ts";
import type { Phase } from "./phases.ts";
import { roundUp } from "./plan.ts";

/** The score of a place that is not there. */
const HIDDEN = -1e30;

type Cached = { readonly values: Float32Array; readonly kernels: Kernels; readonly place: number };

/**
 * Keeps the keys and values of a step's tokens and lets them attend to those of their text up to themselves, a key
 * head at a time. Its queries, keys and values are turned by their positions first, where the model does so.
 */
export function attention(machine: Machine, layer: number): Phase {
  const { plan } = machine;
  const { keyHeads } = plan.shape;
  const cache = plan.cache[layer];
  if (!cache) throw new RangeError(`there is no layer ${layer}`);
  const [keys, values] = [machine.cached(cache.keys), machine.cached(cache.values)];
  return {
    chunks: keyHeads,
    run(head) {
      for (let vector = 0; vector < machine.vectors; vector++) {
        turn(machine, vector, head);
        keep(machine, vector, head, keys, values);
      }
      for (let vector = 0; vector < machine.vectors; vector++) attend(machine, vector, head, keys, values);
    },
  };
}

/** Where a key head's queries, keys and values of a token are, as float indices. */
function headsOf({ plan, buffers }: Machine, vector: number, head: number) {
  const { heads, keyHeads, headWidth } = plan.shape;
  const at = (buffers.qkv.place + vector * buffers.qkv.stride) / 4;
  return {
    queries: at + head * (heads / keyHeads) * headWidth,
    key: at + (heads + head) * headWidth,
    value: at + (heads + keyHeads + head) * headWidth,
  };
}

/** Turns pairs of elements, in the half-and-half order of Hugging Face's Llama. */
function turn(machine: Machine, vector: number, head: number): void {
  const { floats, buffers, plan } = machine;
  const { heads, keyHeads, headWidth, frequencies } = plan.shape;
  const half = frequencies.length;
  if (half === 0) return;
  const { queries, key } = headsOf(machine, vector, head);
  const cosine = (buffers.rotation.place + vector * buffers.rotation.stride) / 4;
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
  { plan: { shape, texts } }: Machine,
  { place }: Cached,
  text: number,
  head: number,
): number => place / 4 + (text * shape.keyHeads + head) * texts.length * shape.headWidth;

function keep(machine: Machine, vector: number, head: number, keys: Cached, values: Cached): void {
  const { floats, plan } = machine;
  const { headWidth } = plan.shape;
  const { key, value } = headsOf(machine, vector, head);
  const [text, position] = [machine.textOf(vector), machine.positionOf(vector)];
  const toKey = startOf(machine, keys, text, head) + position * headWidth;
  const toValue = startOf(machine, values, text, head) + position;
  for (let i = 0; i < headWidth; i++) {
    keys.values[toKey + i] = floats[key + i] ?? 0;
    values.values[toValue + i * plan.texts.length] = floats[value + i] ?? 0;
  }
}

function attend(machine: Machine, vector: number, head: number, keys: Cached, values: Cached): void {
  const { floats, buffers, own, plan } = machine;
  const { heads, keyHeads, headWidth } = plan.shape;
  const group = heads / keyHeads;
  const { queries } = headsOf(machine, vector, head);
  const text = machine.textOf(vector);
  const seen = machine.positionOf(vector) + 1;
  const whole = roundUp(seen);
  const { place, stride } = own.scores;
  scale(floats, queries, group * headWidth, 1 / Math.sqrt(headWidth));
  fill(machine, 0, seen, 0);
  fill(machine, seen, whole, HIDDEN);
  multiply(keys.kernels, {
    ...{
      matrix: 4 * startOf(machine, keys, text, head),
      stride: 4 * headWidth,
      rows: seen,
      width: headWidth,
    },
    ...{ vectors: group, from: 4 * queries, fromStride: 4 * headWidth, to: place, toStride: stride },
  });
  for (let i = 0; i < group; i++) keys.kernels.softmax(place + i * stride, 4 * whole);
  fill(machine, seen, whole, 0);
  const to = buffers.attended.place + vector * buffers.attended.stride + 4 * head * group * headWidth;
  floats.fill(0, to / 4, to / 4 + group * headWidth);
  multiply(values.kernels, {
    ...{ matrix: 4 * startOf(machine, values, text, head), stride: 4 * plan.texts.length, rows: headWidth },
    ...{ width: whole, vectors: group, from: place, fromStride: stride, to, toStride: 4 * headWidth },
  });
}

function scale(floats: Float32Array, start: number, count: number, factor: number): void {
  for (let i = start; i < start + count; i++) floats[i] = (floats[i] ?? 0) * factor;
}

/** Puts a value to places of the scores of each query. */
function fill(
  { floats, own: { scores }, plan: { shape } }: Machine,
  start: number,
  end: number,
  value: number,
): void {
  for (let query = 0; query < shape.heads / shape.keyHeads; query++) {
    const at = (scores.place + query * scores.stride) / 4;
    floats.fill(value, at + start, at + end);
  }
}
