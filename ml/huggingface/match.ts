import { bytesOf } from "../../protocol/digest.ts";
import { CorruptData } from "../../protocol/errors.ts";
import { required } from "../../protocol/required.ts";
import { elements } from "../../protocol/safetensors.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import type { ModelParameter } from "../models/model.ts";
import type { Naming } from "../models/naming.ts";
import { isFloat } from "./dtype.ts";
import { canonicalName } from "./tensor-names.ts";
import type { Weights } from "./weights.ts";

/** The stored tensors of a model's parameters. */
export type Match = {
  readonly parameters: readonly ModelParameter[];
  /** Names of stored tensors by parameter. */
  readonly stored: ReadonlyMap<string, string>;
  /** Names of the parameters that are not stored; they start with drawn values. */
  readonly fresh: readonly string[];
  /** Pairs of stored tensors that must be equal, as the model has one parameter for both. */
  readonly tied: readonly (readonly [string, string])[];
  /** Told to a person. */
  readonly notes: readonly string[];
};

/** Problems past these are only counted. */
const MAX_SHOWN = 40;

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
  const { naming } = family;
  const assigned = assignTensors(weights, naming, parameters);
  const problems = [...assigned.problems];
  const fresh: string[] = [];
  for (const { name, shape } of parameters) {
    const tensor = assigned.tensorOf(name);
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
  return { parameters, stored: assigned.stored, fresh, tied: assigned.tied, notes: first ? [about] : [] };
}

/** Checks the number of tensors first, as a config may promise more layers than memory can list. */
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

/** Assigns every stored tensor to the parameter it is meant for. */
function assignTensors(weights: Weights, naming: Naming, parameters: readonly ModelParameter[]) {
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
  const tensorOf = (name: string) => {
    const own = stored.get(name);
    return own === undefined ? undefined : weights.tensors.get(own);
  };
  return { stored, tied, problems, tensorOf };
}

function report({ name }: Weights, problems: readonly string[]): void {
  if (problems.length === 0) return;
  const lines = problems.slice(0, MAX_SHOWN).map((problem) => `${name}: the model of config.json ${problem}`);
  const more = problems.length - lines.length;
  throw new CorruptData([...lines, ...(more > 0 ? [`${name}: and ${more} more like these`] : [])].join("\n"));
}

/** Numbers that are compared at once. */
const BLOCK_LENGTH = 1 << 20;

/** A copy whose values differ from those of the tensor that it is a copy of. */
export type Difference = { readonly copy: string; readonly original: string; readonly element: number };

/**
 * Compares tensors that are one parameter of the model; null when all of them are equal.
 *
 * @throws CorruptData when their shapes differ
 */
export async function findDifference(
  weights: Weights,
  { tied }: Pick<Match, "tied">,
): Promise<Difference | null> {
  for (const [copy, original] of tied) {
    const { shape } = required(weights.tensors.get(copy), copy);
    const { shape: wanted } = required(weights.tensors.get(original), original);
    if (shape.join() !== wanted.join()) {
      const rule = `must have the shape of ${original}, [${wanted}], got [${shape}]`;
      throw new CorruptData(`${weights.name}: ${copy} ${rule}`);
    }
    const element = await firstDifference(weights, copy, original, elements(shape));
    if (element !== -1) return { copy, original, element };
  }
  return null;
}

async function firstDifference(weights: Weights, one: string, other: string, length: number) {
  for (let start = 0; start < length; start += BLOCK_LENGTH) {
    const a = new Float32Array(Math.min(BLOCK_LENGTH, length - start));
    const b = new Float32Array(a.length);
    await weights.readPart(one, start, a);
    await weights.readPart(other, start, b);
    if (Buffer.compare(bytesOf(a), bytesOf(b)) === 0) continue;
    return start + a.findIndex((value, i) => !Object.is(value, b[i]));
  }
  return -1;
}
