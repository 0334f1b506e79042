import { InvalidInput } from "../../protocol/errors.ts";
import { required } from "../../protocol/required.ts";
import { checkText } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { withinRows } from "../data/known-ids.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import { modelOfConfig } from "../huggingface/config.ts";
import type { Family, ModelConfig } from "./family.ts";
import { regressionFiles, regressionParameters } from "./linear-regression.ts";
import type { ModelDescription } from "./model.ts";
import { familyOf, isFamily } from "./registry.ts";
import type { ModuleSpec } from "./user-model.ts";

/**
 * A job's model: its parameters and the files of its open format. Loads no tfjs.
 *
 * @param dataset the job's text; null for generated data
 * @param own what the job's own module says of its model; null when it has none
 * @throws InvalidInput when the text is too short for the model's context
 */
export function modelDescription(
  spec: TrainingSpec,
  dataset: Dataset | null,
  own: ModelDescription | null = null,
): ModelDescription {
  if (spec.model.type === "module") return describeModule(spec.model, dataset, own);
  if (spec.model.type === "linear") {
    return { parameters: regressionParameters(spec.model), files: regressionFiles(spec.model) };
  }
  const { family, config, dataset: text } = languageModelOf(spec, dataset);
  const decoder = new TextDecoder();
  const tokenizer = Object.entries(text.files).map(([name, bytes]) => [name, decoder.decode(bytes)]);
  return {
    parameters: family.parameters(config),
    files: { ...family.files(config), ...Object.fromEntries(tokenizer) },
  };
}

function describeModule(
  model: ModuleSpec,
  dataset: Dataset | null,
  own: ModelDescription | null,
): ModelDescription {
  const name = `model.module ${model.module}`;
  if (own === null) throw new InvalidInput(`${name} must be loaded before it is described`);
  const { parameters, files } = own;
  return { parameters, files: { ...textsOf(dataset?.files ?? {}), ...files } };
}

function textsOf(files: Readonly<Record<string, Uint8Array>>): Record<string, string> {
  const decoder = new TextDecoder();
  return Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, decoder.decode(bytes)]));
}

export type LanguageModel = {
  readonly family: Family;
  readonly config: ModelConfig;
  /** Tokens of a training sequence. */
  readonly context: number;
  readonly dataset: Dataset;
};

/** A language model's job: its model and its text, checked against each other. */
export function languageModelOf(spec: TrainingSpec, dataset: Dataset | null): LanguageModel {
  if (dataset === null) throw new InvalidInput(`model.type ${spec.model.type} needs the dataset of a text`);
  const { vocabulary } = dataset.meta;
  const { family, config, context = config.context } = sizedModelOf(spec, dataset);
  if (context > config.context) {
    throw new InvalidInput(
      `model.context must be at most the ${config.context} of config.json, got ${context}`,
    );
  }
  const rows = config.vocabulary;
  if (family.masked && (dataset.special.mask ?? 0) >= rows) {
    const rule = `must be below the ${rows} rows of the model, got ${dataset.special.mask}`;
    throw new InvalidInput(`the id of the tokenizer's mask token ${rule}`);
  }
  checkText(spec, dataset.meta, context);
  if (vocabulary <= rows) return { family, config, context, dataset };
  return { family, config, context, dataset: { ...dataset, tokens: withinRows(dataset.tokens, rows) } };
}

function sizedModelOf({ model }: TrainingSpec, { meta, special }: Dataset) {
  if (model.type === "pretrained") {
    const { family, config } = modelOfConfig(
      required(model.config, "model.config"),
      `config.json of ${model.from}`,
    );
    const { context, dropout, recompute } = model;
    if (dropout > 0 && !family.dropout) {
      throw new InvalidInput(`model.dropout must be 0 for a ${family.type} model, got ${dropout}`);
    }
    return { family, config: { ...config, dropout, recompute }, context };
  }
  const family = familyOf(model.type);
  return { family, config: family.configOf(model, meta.vocabulary, special), context: undefined };
}

/** True for a job whose model learns to predict what is hidden from it. */
export function isMasked({ model }: TrainingSpec): boolean {
  const type = model.type === "pretrained" ? String(model.config?.model_type) : model.type;
  return isFamily(type) && familyOf(type).masked;
}
