import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type Buckets, openBuckets } from "../../cloud/buckets.ts";
import type { Store } from "../../cloud/store.ts";
import { checkText } from "../../ml/data/batches.ts";
import { DATASET_FILES, type Dataset } from "../../ml/data/dataset.ts";
import type { PrepareOptions } from "../../ml/data/prepare-options.ts";
import { prepareText } from "../../ml/data/prepare-text.ts";
import { localFolder } from "../../ml/huggingface/folder.ts";
import { isMasked } from "../../ml/models/describe.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { ignoreMissing } from "../../protocol/missing.ts";
import { type LoadedJobFile, tokenizerOf } from "./job-file.ts";
import { s3Source } from "./s3-source.ts";
import type { SourceOptions } from "./source-options.ts";
import { type UploadedFile, uploadFiles } from "./upload-files.ts";

/**
 * Tokenizes a job's text and checks that it is long enough. Returns null for generated data.
 *
 * @throws InvalidInput when the text can't be trained on
 */
export async function prepareDataset(
  file: LoadedJobFile,
  options: SourceOptions & Pick<PrepareOptions, "onSources">,
): Promise<Dataset | null> {
  const { job, textPath } = file;
  const { data } = job;
  if (textPath === null || data.type !== "text") return null;
  let buckets: Buckets | undefined;
  try {
    return await prepareText({
      ...options,
      stores: [s3Source(() => (buckets ??= openBuckets(options.environment)))],
      path: textPath,
      name: `data.path ${data.path}`,
      tokenizer: tokenizerOf(file),
      field: data.field,
      vocabulary: data.vocabulary,
      bits: data.bits,
      masks: isMasked(job),
      check: (dataset) => checkText(job, dataset.meta),
    });
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    throw new InvalidInput(
      error.problems.map((problem) => `${job.name}: ${problem}`),
      { cause: error },
    );
  } finally {
    buckets?.close();
  }
}

/** The files of a dataset, with the keys under its digest. */
export async function datasetFiles({ digest, directory }: Dataset): Promise<UploadedFile[]> {
  const files: UploadedFile[] = [];
  for (const name of DATASET_FILES) {
    const info = await stat(join(directory, name)).catch(ignoreMissing);
    if (info === undefined) continue;
    files.push({ key: keys.dataset(digest, name), folder: localFolder(directory), name, size: info.size });
  }
  return files;
}

/** Stores the files of a dataset that are not there yet. */
export async function uploadDataset(store: Store, dataset: Dataset): Promise<void> {
  await uploadFiles(store, await datasetFiles(dataset));
}
