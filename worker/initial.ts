import type { Match } from "../ml/huggingface/match.ts";
import type { Weights } from "../ml/huggingface/weights.ts";
import type { ModelDescription, ModelParameter } from "../ml/models/model.ts";
import { fillNormal, indicesOfName } from "../ml/random/streams.ts";
import { CorruptData, InvalidInput } from "../protocol/errors.ts";
import type { Layout, Tensor } from "../protocol/layout.ts";
import { required } from "../protocol/required.ts";
import { elements } from "../protocol/safetensors.ts";

/** Fills `into` with a tensor's first values, from its element `start` on. */
export type Initial = (name: string, start: number, into: Float32Array) => Promise<void>;

/** Draws a parameter's first values; they depend on the seed and the name only. */
function draw({ name, shape, init }: ModelParameter, seed: number, out: Float32Array): void {
  if (init.type === "ones") out.fill(1);
  if (init.type !== "normal") return;
  fillNormal(out, init.deviation, { seed, purpose: "initialize", indices: indicesOfName(name) });
  if (init.zeroRow == null) return;
  const width = required(shape.at(-1), `the shape of ${name}`);
  out.fill(0, init.zeroRow * width, (init.zeroRow + 1) * width);
}

/** Values drawn by seed. Holds one tensor, as shards cut tensors and ask for their parts one after the other. */
export function drawn(parameters: readonly ModelParameter[], seed: number): Initial {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  let held = "";
  let values = new Float32Array();
  return async (name, start, into) => {
    const parameter = byName.get(name);
    if (!parameter) throw new InvalidInput(`the model has no parameter ${name}`);
    if (held !== name) {
      held = name;
      values = new Float32Array(elements(parameter.shape));
      draw(parameter, seed, values);
    }
    into.set(values.subarray(start, start + into.length));
  };
}

/** Values of stored weights; those that are not there are drawn. */
export function loaded(weights: Weights, { parameters, stored, fresh }: Match, seed: number): Initial {
  const absent = new Set(fresh);
  const others = drawn(parameters, seed);
  return async (name, start, into) => {
    if (absent.has(name)) return others(name, start, into);
    await weights.readPart(stored.get(name) ?? name, start, into);
    const bad = into.findIndex((value) => !Number.isFinite(value));
    if (bad === -1) return;
    throw new CorruptData(
      `${weights.name}: ${name} is ${into[bad]} at element ${start + bad}, not a finite number`,
    );
  };
}

/** Fills a stretch of the vector in which `tensors` lie end to end, from element `start` of it on. */
export async function fillRange(
  initial: Initial,
  tensors: readonly Tensor[],
  start: number,
  into: Float32Array,
): Promise<void> {
  const end = start + into.length;
  for (const { name, shape, offset } of tensors) {
    const from = Math.max(start, offset);
    const to = Math.min(end, offset + elements(shape));
    if (from < to) await initial(name, from - offset, into.subarray(from - start, to - start));
  }
}

/** A job's initial parameters in the order of its layout, drawn by seed; those that train. */
export function initialParameters(
  { parameters }: Pick<ModelDescription, "parameters">,
  layout: Layout,
  seed: number,
): Float32Array {
  const theta = new Float32Array(layout.parameters);
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  for (const { name, offset, shape } of layout.tensors) {
    const parameter = byName.get(name);
    if (!parameter) throw new InvalidInput(`the model has no parameter ${name}`);
    draw(parameter, seed, theta.subarray(offset, offset + elements(shape)));
  }
  return theta;
}
