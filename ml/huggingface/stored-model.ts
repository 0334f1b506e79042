import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import type { Family, ModelConfig } from "../models/family.ts";
import { modelOfConfig } from "./config.ts";
import { type Difference, findDifference, type Match, matchWeights } from "./match.ts";
import type { Weights } from "./weights.ts";

/** The model in a directory: its config and its weights, checked against each other. */
export type StoredModel = {
  readonly family: Family;
  readonly config: ModelConfig;
  /** The `config.json` that says what the weights are. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly match: Match;
  /** Told to a person. */
  readonly notes: readonly string[];
};

/**
 * Finds out what model is stored. A head that is stored with values of its own is kept, whatever config.json says, as
 * transformers 5 does; transformers 4 would take no notice of it.
 *
 * @param what names config.json in errors
 * @throws InvalidInput, CorruptData when config and weights do not fit together
 */
export async function storedModel(
  weights: Weights,
  json: Readonly<Record<string, unknown>>,
  what: string,
): Promise<StoredModel> {
  const model = matched(weights, json, what);
  const difference = await findDifference(weights, model.match);
  if (difference === null) return model;
  const untied = { ...json, tie_word_embeddings: false };
  // A family whose head is never a tensor of its own.
  if (!canFollow(untied, what)) throw new CorruptData(`${weights.name}: ${rule(difference)}`);
  const kept = matched(weights, untied, what);
  return { ...kept, notes: [...kept.notes, `${weights.name}: ${aboutHead(difference)}`] };
}

function canFollow(json: Readonly<Record<string, unknown>>, what: string): boolean {
  try {
    modelOfConfig(json, what);
    return true;
  } catch (error) {
    if (error instanceof InvalidInput) return false;
    throw error;
  }
}

const rule = ({ copy, original, element }: Difference): string =>
  `${copy} must equal ${original}, as the model has one parameter for both; element ${element} differs`;

const aboutHead = ({ copy, original }: Difference): string =>
  `${copy} is not ${original}, to which config.json ties it: both are kept, as in transformers 5, ` +
  "and models made from this have tie_word_embeddings false";

function matched(weights: Weights, json: Readonly<Record<string, unknown>>, what: string): StoredModel {
  const { family, config } = modelOfConfig(json, what);
  requireHead(weights, family, config, what);
  const match = matchWeights(weights, family, config);
  return { family, config, json, match, notes: match.notes };
}

/** @throws InvalidInput when config.json says that the head is a tensor of its own, and no such tensor is there */
function requireHead(
  { name, tensors }: Weights,
  { naming, parameters }: Family,
  config: ModelConfig,
  what: string,
): void {
  const own = parameters({ ...config, layers: 1 }).map((parameter) => parameter.name);
  const missing = Object.keys(naming.copies).find(
    (copy) => own.includes(copy) && !naming.optional?.test(copy) && !tensors.has(copy),
  );
  if (missing === undefined) return;
  throw new InvalidInput(`${what}: tie_word_embeddings must be true, got false: ${name} has no ${missing}`);
}
