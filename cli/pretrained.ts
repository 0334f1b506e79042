import { resolve } from "node:path";
import { InvalidInput, PsError } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";
import { localFolder } from "../worker/huggingface/folder.ts";
import { inspectDirectory, type Pretrained } from "../worker/huggingface/inspect.ts";
import type { Draft } from "./job-file.ts";
import type { UploadedFile } from "./upload.ts";

/**
 * Checks the Hugging Face directory that a job starts from; null when it starts from nothing.
 *
 * @throws InvalidInput with every problem found
 */
export async function preparePretrained({ spec, folder }: Draft): Promise<Pretrained | null> {
  if (spec.model.type !== "pretrained") return null;
  try {
    return await inspectDirectory(resolve(folder, spec.model.from));
  } catch (error) {
    if (!(error instanceof PsError)) throw error;
    const problems = error.message.split("\n").map((line) => `${spec.name}: model.from: ${line}`);
    throw new InvalidInput(problems, { cause: error });
  }
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
