import { bytesOf } from "../../protocol/digest.ts";
import { CorruptData } from "../../protocol/errors.ts";
import { elements } from "../../protocol/safetensors.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import type { ModelParameter } from "../models/model.ts";
import { isFloat } from "./dtype.ts";
import { canonicalName, type Naming, namingOf } from "./tensor-names.ts";
import type { Weights } from "./weights.ts";

/** Which stored tensor each parameter of a model is. */
export type Match = {
  readonly parameters: readonly ModelParameter[];
  /** By parameter: the name it is stored under. */
  readonly stored: ReadonlyMap<string, string>;
  /** Parameters that the file has not and that start afresh, by name. */
  readonly fresh: readonly string[];
  /** Pairs of stored tensors that must be equal, as the model has one parameter for both. */
  readonly tied: readonly (readonly [string, string])[];
  /** What a person should know. */
  readonly notes: readonly string[];
};

/** So many problems are spelled out; the rest is counted. */
const SHOWN = 40;

/**
 * Finds a model's parameters among stored tensors, checking names, shapes and types.
 *
 * @throws CorruptData naming each tensor that is missing, left over, or wrong
 */
export function matchWeights<Config extends ModelConfig>(
  weights: Weights,
  family: Family<Config>,
  config: Config,
): Match {
  checkCount(weights, family, config);
  const parameters = family.parameters(config);
  const naming = namingOf(family.type);
  const found = sortOut(weights, naming, parameters);
  const problems = [...found.problems];
  const fresh: string[] = [];
  for (const { name, shape } of parameters) {
    const tensor = weights.tensors.get(found.stored.get(name) ?? "");
    if (!tensor) {
      if (naming.optional?.test(name)) fresh.push(name);
      else problems.push(`needs ${name} of shape [${shape}]`);
    } else if (tensor.shape.join() !== shape.join()) {
      problems.push(`needs ${name} of shape [${shape}], got [${tensor.shape}]`);
    } else if (!isFloat(tensor.dtype)) {
      problems.push(`needs ${name} as F32, F16 or BF16, got ${tensor.dtype}`);
    }
  }
  report(weights, problems);
  const [first] = fresh;
  const about = `${weights.name} has no ${naming.optionalPart}: ${fresh.length} tensors start afresh (${first}, ...)`;
  return { parameters, stored: found.stored, fresh, tied: found.tied, notes: first ? [about] : [] };
}

/** First the count, as a config may promise more layers than memory can list. */
function checkCount<Config extends ModelConfig>(
  weights: Weights,
  { parameters }: Family<Config>,
  config: Config,
): void {
  const one = parameters({ ...config, layers: 1 }).length;
  const perLayer = parameters({ ...config, layers: 2 }).length - one;
  // Some heads may be missing, no layer may.
  if (config.layers * perLayer <= weights.tensors.size) return;
  const wanted = one + (config.layers - 1) * perLayer;
  throw new CorruptData(
    `${weights.name} must have ${wanted} tensors for the ${config.layers} layers of config.json, got ${weights.tensors.size}`,
  );
}

/** Gives every stored tensor to the parameter it is meant for. */
function sortOut(weights: Weights, naming: Naming, parameters: readonly ModelParameter[]) {
  const names = new Set(parameters.map(({ name }) => name));
  const copies = new Map(Object.entries(naming.copies).filter(([copy]) => !names.has(copy)));
  const stored = new Map<string, string>();
  const tied: [string, string][] = [];
  const problems: string[] = [];
  // Those that are no copies first, so that a copy finds its original.
  const sorted = [...weights.tensors.keys()]
    .map((own) => ({ own, name: canonicalName(own, naming, (name) => names.has(name) || copies.has(name)) }))
    .sort((a, b) => Number(copies.has(a.name)) - Number(copies.has(b.name)));
  for (const { own, name } of sorted) {
    if (naming.ignored.test(name)) continue;
    const original = copies.get(name);
    const parameter = original ?? name;
    const other = stored.get(parameter);
    if (!names.has(parameter)) problems.push(`does not know ${own}`);
    else if (other === undefined) stored.set(parameter, own);
    else if (original === undefined) problems.push(`has ${name} once, got ${other} and ${own}`);
    else tied.push([own, other]);
  }
  return { stored, tied, problems };
}

function report({ name }: Weights, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const lines = problems.slice(0, SHOWN).map((problem) => `${name}: the model of config.json ${problem}`);
  const more = problems.length - lines.length;
  throw new CorruptData([...lines, ...(more > 0 ? [`${name}: and ${more} more like these`] : [])].join("\n"));
}

const BLOCK = 1 << 20;

/**
 * Checks that tensors which are one parameter of the model are stored with equal values.
 *
 * @throws CorruptData naming the pair and the element
 */
export async function checkTied(weights: Weights, { tied }: Pick<Match, "tied">): Promise<void> {
  for (const [copy, original] of tied) {
    const shape = weights.tensors.get(copy)?.shape ?? [];
    const wanted = weights.tensors.get(original)?.shape ?? [];
    if (shape.join() !== wanted.join()) {
      const rule = `must have the shape of ${original}, [${wanted}], got [${shape}]`;
      throw new CorruptData(`${weights.name}: ${copy} ${rule}`);
    }
    const at = await firstDifference(weights, copy, original, elements(shape));
    if (at === -1) continue;
    throw new CorruptData(
      `${weights.name}: ${copy} must equal ${original}, to which config.json ties it; element ${at} differs`,
    );
  }
}

async function firstDifference(weights: Weights, one: string, other: string, length: number) {
  for (let start = 0; start < length; start += BLOCK) {
    const a = new Float32Array(Math.min(BLOCK, length - start));
    const b = new Float32Array(a.length);
    await weights.readPart(one, start, a);
    await weights.readPart(other, start, b);
    if (Buffer.compare(bytesOf(a), bytesOf(b)) === 0) continue;
    const at = a.findIndex((value, i) => !Object.is(value, b[i]));
    return start + at;
  }
  return -1;
}
