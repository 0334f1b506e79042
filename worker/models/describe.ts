import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { checkText } from "../data/batches.ts";
import type { Dataset } from "../data/text.ts";
import { type Family, familyOf, type ModelConfig } from "./family.ts";
import { linearFiles, linearParameters } from "./linear.ts";
import type { ModelDescription } from "./model.ts";

/**
 * A job's model: its parameters and the files of its open format. Loads no tfjs.
 *
 * @param dataset the job's text; null for generated data
 * @throws InvalidInput when the text is too short for the model's context
 */
export function describeModel(spec: JobSpec, dataset: Dataset | null): ModelDescription {
  if (spec.model.type === "linear") {
    return { parameters: linearParameters(spec.model), files: linearFiles(spec.model) };
  }
  const { family, config, dataset: text } = languageModelOf(spec, dataset);
  const decoder = new TextDecoder();
  const tokenizer = ["tokenizer.json", "tokenizer_config.json"].map((name) => [
    name,
    decoder.decode(text.files[name]),
  ]);
  return {
    parameters: family.parameters(config),
    files: { ...family.files(config), ...Object.fromEntries(tokenizer) },
  };
}

export type LanguageModel = {
  readonly family: Family;
  readonly config: ModelConfig;
  readonly dataset: Dataset;
};

/** A language model's job: its model and its text, checked against each other. */
export function languageModelOf(spec: JobSpec, dataset: Dataset | null): LanguageModel {
  const family = familyOf(spec.model.type);
  if (dataset === null) throw new InvalidInput(`model.type ${family.type} needs the dataset of a text`);
  checkText(spec, dataset.meta.tokens);
  return { family, config: family.configOf(spec.model, dataset.meta.vocabulary), dataset };
}
