import { resolve } from "node:path";
import { openBuckets } from "../../cloud/buckets.ts";
import { localFolder } from "../../ml/huggingface/folder.ts";
import { inspectDirectory, type Pretrained } from "../../ml/huggingface/inspect.ts";
import { InvalidInput, PsError } from "../../protocol/errors.ts";
import type { JobFile } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { downloadModel } from "./download-model.ts";
import type { LoadedJobFile } from "./job-file.ts";
import { isS3 } from "./s3-source.ts";
import type { SourceOptions } from "./source-options.ts";
import type { UploadedFile } from "./upload-files.ts";

/**
 * Downloads a `model.from` that is on S3.
 *
 * @throws InvalidInput when they can't be read
 */
export async function withDownloadedModel(
  file: LoadedJobFile,
  { cache, environment }: SourceOptions,
): Promise<LoadedJobFile> {
  const { model } = file.job;
  if (model.type !== "pretrained" || !isS3(model.from)) return file;
  const buckets = openBuckets(environment);
  try {
    return { ...file, downloadedModel: await downloadModel(model.from, cache, buckets) };
  } catch (error) {
    throw aboutModel(file, error);
  } finally {
    buckets.close();
  }
}

/**
 * Checks the Hugging Face directory that a job starts from; null when it starts from nothing.
 *
 * @throws InvalidInput with every problem found
 */
export async function preparePretrained(file: LoadedJobFile): Promise<Pretrained | null> {
  const { job, folder, downloadedModel } = file;
  if (job.model.type !== "pretrained") return null;
  try {
    return await inspectDirectory(downloadedModel ?? resolve(folder, job.model.from));
  } catch (error) {
    throw aboutModel(file, error);
  }
}

function aboutModel({ job }: LoadedJobFile, error: unknown): unknown {
  if (!(error instanceof PsError)) return error;
  const problems = error.message.split("\n").map((line) => `${job.name}: model.from: ${line}`);
  return new InvalidInput(problems, { cause: error });
}

/** Adds the directory's digest and config, from which workers know the model. */
export function withPretrained(job: JobFile, pretrained: Pretrained | null): JobFile {
  if (pretrained === null || job.model.type !== "pretrained") return job;
  const { digest, config } = pretrained;
  return { ...job, model: { ...job.model, digest, config: { ...config } } };
}

/** The files of a Hugging Face directory, stored under its digest. */
export const pretrainedFiles = ({ directory, digest, files }: Pretrained): UploadedFile[] =>
  files.map(({ name, size, sha256 }) => ({
    key: keys.pretrained(digest, name),
    folder: localFolder(directory),
    name,
    size,
    sha256,
  }));
