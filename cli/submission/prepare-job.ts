import type { Cloud } from "../../cloud/connect.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import { findUnknownId } from "../../ml/data/known-ids.ts";
import type { Sources } from "../../ml/data/source-file.ts";
import type { Pretrained } from "../../ml/huggingface/inspect.ts";
import { languageModelOf, modelDescription } from "../../ml/models/describe.ts";
import type { ModelDescription, ModelParameter } from "../../ml/models/model.ts";
import { InvalidInput, PsError } from "../../protocol/errors.ts";
import { divide } from "../../protocol/freeze.ts";
import type { JobFile, JobSpec } from "../../protocol/job.ts";
import { elements } from "../../protocol/safetensors.ts";
import { shardCount } from "../../protocol/shard-count.ts";
import { count } from "../terminal/format.ts";
import { datasetFiles, prepareDataset } from "./dataset.ts";
import { notesOn } from "./describe-sources.ts";
import type { LoadedJobFile } from "./job-file.ts";
import {
  preparePretrained,
  pretrainedFiles,
  withDownloadedModel,
  withPretrained,
} from "./pretrained-model.ts";
import type { SourceOptions } from "./source-options.ts";
import { uploadFiles } from "./upload-files.ts";
import {
  describeModule,
  type PreparedModule,
  prepareModule,
  uploadModule,
  withModule,
} from "./user-module.ts";

/** A job and its inputs, checked against each other and ready to be stored. */
export type PreparedJob = {
  /** Complete, with the digests of the files that the job names. */
  readonly spec: JobSpec;
  /** Null for generated data. */
  readonly dataset: Dataset | null;
  readonly pretrained: Pretrained | null;
  readonly module: PreparedModule | null;
  /** The number of parameters that train. */
  readonly parameters: number;
  /** Remarks for the user before the job starts. */
  readonly notes: readonly string[];
};

/**
 * Reads the files that a job names, and chooses its number of shards.
 *
 * @throws InvalidInput with every problem found
 */
export async function prepareJob(jobFile: LoadedJobFile, options: SourceOptions): Promise<PreparedJob> {
  const file = await withDownloadedModel(jobFile, options);
  const pretrained = await preparePretrained(file);
  const module = await prepareModule(file);
  const job = withModule(withPretrained(file.job, pretrained), module);
  const remarks: string[] = [];
  const onSources = (sources: Sources) => remarks.push(...notesOn(sources));
  const dataset = await prepareDataset({ ...file, job }, { ...options, onSources });
  const own = module && (await describeModule(job, dataset, module));
  const { trained, frozen } = parametersOf(job, dataset, own);
  const parameters = sizeOf(trained);
  const shards = job.shards ?? shardCount(parameters, job.ranks, job.optimizer);
  const before = [...(pretrained?.notes ?? []), ...(module?.notes ?? []), ...remarks];
  const notes = [...before, ...notesOnRows(job, dataset), ...notesOnFrozen(trained, frozen)];
  return { spec: { ...job, shards }, dataset, pretrained, module, parameters, notes };
}

function parametersOf(job: JobFile, dataset: Dataset | null, own: ModelDescription | null) {
  try {
    return divide(modelDescription(job, dataset, own).parameters, job.freeze);
  } catch (error) {
    if (!(error instanceof PsError)) throw error;
    const problems = error.message.split("\n").map((problem) => `${job.name}: ${problem}`);
    throw new InvalidInput(problems, { cause: error });
  }
}

/**
 * A tokenizer may have more ids than a pretrained model has rows, as long as the text does not use them.
 *
 * @throws InvalidInput when it does
 */
function notesOnRows(job: JobFile, dataset: Dataset | null): string[] {
  if (dataset === null || job.model.type !== "pretrained") return [];
  const { config } = languageModelOf(job, dataset);
  const { vocabulary } = dataset.meta;
  if (vocabulary <= config.vocabulary) return [];
  const about = `the tokenizer has ids up to ${vocabulary - 1}, model.from only ${config.vocabulary} rows (vocab_size)`;
  const unknown = findUnknownId(dataset.tokens, config.vocabulary);
  if (unknown === null) return [`${about}; the text has no token past them`];
  throw new InvalidInput(
    `${job.name}: ${about}; token ${unknown.place} of the text is ${unknown.id}. Give the model more rows ` +
      "(resize_token_embeddings of transformers), or take a tokenizer without the tokens that were added",
  );
}

function notesOnFrozen(trained: readonly ModelParameter[], frozen: readonly ModelParameter[]): string[] {
  if (frozen.length === 0) return [];
  const [some, all] = [sizeOf(frozen), sizeOf(frozen) + sizeOf(trained)];
  return [`${count(some)} of ${count(all)} parameters are frozen, ${frozen.length} tensors`];
}

const sizeOf = (parameters: readonly ModelParameter[]): number =>
  parameters.reduce((sum, { shape }) => sum + elements(shape), 0);

/** Stores the inputs of a job that are not there yet. */
export async function uploadInputs(
  { store }: Cloud,
  { dataset, pretrained, module }: PreparedJob,
): Promise<void> {
  if (module) await uploadModule(store, module);
  const files = [
    ...(pretrained === null ? [] : pretrainedFiles(pretrained)),
    ...(dataset === null ? [] : await datasetFiles(dataset)),
  ];
  await uploadFiles(store, files);
}
