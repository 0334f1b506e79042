import { resolve } from "node:path";
import { isS3 } from "../../ml/data/s3-source.ts";
import { localFolder } from "../../ml/huggingface/folder.ts";
import { inspectDirectory, type Pretrained } from "../../ml/huggingface/inspect.ts";
import { InvalidInput, PsError } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { sourceBuckets } from "./buckets.ts";
import { fetchModel } from "./fetch-model.ts";
import type { Draft } from "./job-file.ts";
import type { UploadedFile } from "./upload.ts";

/**
 * The draft with the files of a `model.from` on S3 on this machine.
 *
 * @throws InvalidInput when they can't be read
 */
export async function withFetchedModel(draft: Draft, cache: string): Promise<Draft> {
  const { model } = draft.spec;
  if (model.type !== "pretrained" || !isS3(model.from)) return draft;
  const buckets = sourceBuckets();
  try {
    return { ...draft, fetchedModel: await fetchModel(model.from, cache, buckets) };
  } catch (error) {
    throw about(draft, error);
  } finally {
    buckets.close();
  }
}

/**
 * Checks the Hugging Face directory that a job starts from; null when it starts from nothing.
 *
 * @throws InvalidInput with every problem found
 */
export async function preparePretrained(draft: Draft): Promise<Pretrained | null> {
  const { spec, folder, fetchedModel } = draft;
  if (spec.model.type !== "pretrained") return null;
  try {
    return await inspectDirectory(fetchedModel ?? resolve(folder, spec.model.from));
  } catch (error) {
    throw about(draft, error);
  }
}

function about({ spec }: Draft, error: unknown): unknown {
  if (!(error instanceof PsError)) return error;
  const problems = error.message.split("\n").map((line) => `${spec.name}: model.from: ${line}`);
  return new InvalidInput(problems, { cause: error });
}

/** The job with what was found in the directory filled in: it is what a worker knows of the model. */
export function withPretrained(spec: JobSpec, pretrained: Pretrained | null): JobSpec {
  if (pretrained === null || spec.model.type !== "pretrained") return spec;
  const { digest, config } = pretrained;
  return { ...spec, model: { ...spec.model, digest, config: { ...config } } };
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
