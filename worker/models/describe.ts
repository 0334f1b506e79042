import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { checkText } from "../data/batches.ts";
import type { Dataset } from "../data/text.ts";
import { type Gpt2, gpt2Files, gpt2Parameters } from "./gpt2.ts";
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
  const { model, dataset: text } = gpt2Of(spec, dataset);
  const decoder = new TextDecoder();
  const tokenizer = ["tokenizer.json", "tokenizer_config.json"].map((name) => [
    name,
    decoder.decode(text.files[name]),
  ]);
  return {
    parameters: gpt2Parameters(model),
    files: { ...gpt2Files(model), ...Object.fromEntries(tokenizer) },
  };
}

/** A GPT-2 job's model and text, checked against each other. */
export function gpt2Of(spec: JobSpec, dataset: Dataset | null): { model: Gpt2; dataset: Dataset } {
  if (spec.model.type !== "gpt2")
    throw new InvalidInput(`model.type must be "gpt2", got "${spec.model.type}"`);
  if (dataset === null) throw new InvalidInput("model.type gpt2 needs the dataset of a text");
  checkText(spec, dataset.meta.tokens);
  const { layers, heads, width, context } = spec.model;
  return { model: { layers, heads, width, context, vocabulary: dataset.meta.vocabulary }, dataset };
}
