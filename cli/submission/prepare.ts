import type { Cloud } from "../../cloud/connect.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import type { PrepareOptions } from "../../ml/data/prepare-text.ts";
import type { Pretrained } from "../../ml/huggingface/inspect.ts";
import { modelDescription } from "../../ml/models/describe.ts";
import type { ModelParameter } from "../../ml/models/model.ts";
import { InvalidInput, PsError } from "../../protocol/errors.ts";
import { divide } from "../../protocol/freeze.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { elements } from "../../protocol/safetensors.ts";
import { shardCount } from "../../protocol/shard-count.ts";
import { count } from "../terminal/format.ts";
import { datasetFiles, prepareDataset } from "./dataset.ts";
import type { Draft } from "./job-file.ts";
import { type OwnModule, prepareModule, uploadModule, withModule } from "./module.ts";
import { preparePretrained, pretrainedFiles, withFetchedModel, withPretrained } from "./pretrained.ts";
import { upload } from "./upload.ts";

/** A job with all that it starts from, checked against each other and ready to be stored. */
export type Prepared = {
  /** With what was found in the files that the job names. */
  readonly spec: JobSpec;
  /** Null for generated data. */
  readonly dataset: Dataset | null;
  readonly pretrained: Pretrained | null;
  readonly module: OwnModule | null;
  /** What a person should know before it starts. */
  readonly notes: readonly string[];
};

/**
 * Reads what a job names: the model that it starts from, and its text.
 *
 * @throws InvalidInput with every problem found
 */
export async function prepareJob(
  given: Draft,
  options: Pick<PrepareOptions, "cache" | "onProgress" | "signal">,
): Promise<Prepared> {
  const draft = await withFetchedModel(given, options.cache);
  const pretrained = await preparePretrained(draft);
  const module = await prepareModule(draft);
  const named = withModule(withPretrained(draft.spec, pretrained), module);
  const dataset = await prepareDataset({ ...draft, spec: named }, options);
  const { trained, frozen } = parametersOf(named, dataset, module);
  const shards = draft.choosesShards
    ? shardCount(sizeOf(trained), named.ranks, named.optimizer)
    : named.shards;
  const notes = [...(pretrained?.notes ?? []), ...notesOnFrozen(trained, frozen)];
  return { spec: { ...named, shards }, dataset, pretrained, module, notes };
}

function parametersOf(spec: JobSpec, dataset: Dataset | null, module: OwnModule | null) {
  try {
    return divide(modelDescription(spec, dataset, module?.model).parameters, spec.freeze);
  } catch (error) {
    if (!(error instanceof PsError)) throw error;
    const problems = error.message.split("\n").map((problem) => `${spec.name}: ${problem}`);
    throw new InvalidInput(problems, { cause: error });
  }
}

function notesOnFrozen(trained: readonly ModelParameter[], frozen: readonly ModelParameter[]): string[] {
  if (frozen.length === 0) return [];
  const [some, all] = [sizeOf(frozen), sizeOf(frozen) + sizeOf(trained)];
  return [`${count(some)} of ${count(all)} parameters are frozen, ${frozen.length} tensors`];
}

const sizeOf = (parameters: readonly ModelParameter[]): number =>
  parameters.reduce((sum, { shape }) => sum + elements(shape), 0);

/** Stores what a job starts from, as far as it is not there yet. */
export async function uploadPrepared(
  { store }: Cloud,
  { dataset, pretrained, module }: Prepared,
): Promise<void> {
  if (module) await uploadModule(store, module);
  const files = [
    ...(pretrained === null ? [] : pretrainedFiles(pretrained)),
    ...(dataset === null ? [] : await datasetFiles(dataset)),
  ];
  await upload(store, files);
}
