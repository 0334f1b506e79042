import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { Store } from "../cloud/store.ts";
import { InvalidInput, PsError } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";
import { localFolder } from "../worker/huggingface/folder.ts";
import {
  inspectDirectory,
  type Pretrained,
  type PretrainedFile,
  partsOf,
} from "../worker/huggingface/inspect.ts";
import type { Draft } from "./job-file.ts";

/** Parts of an S3 multipart upload are at least 5 MiB; this is what is held in memory. */
const PART_BYTES = 8 * 1024 * 1024;

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

/** Stores the files of a Hugging Face directory under its digest, those that are not there yet. */
export async function uploadPretrained(
  store: Store,
  { directory, digest, files }: Pretrained,
): Promise<void> {
  const there = new Set((await store.list(keys.pretrained(digest, ""))).map((object) => object.key));
  for (const file of files) {
    const key = keys.pretrained(digest, file.name);
    if (!there.has(key)) await upload(store, key, directory, file);
  }
}

async function upload(store: Store, key: string, directory: string, file: PretrainedFile): Promise<void> {
  const read = await partsOf(localFolder(directory), file.name, PART_BYTES);
  if (!read) changed(directory, file.name);
  const parts = unchanged(read, directory, file);
  if (file.size > PART_BYTES) {
    await store.createFromParts(key, parts);
    return;
  }
  const bytes: Uint8Array[] = [];
  for await (const part of parts) bytes.push(part);
  await store.create(key, Buffer.concat(bytes));
}

/** Passes parts on, and throws after the last, before the object is made of them, if the file was changed meanwhile. */
async function* unchanged(
  parts: AsyncIterable<Uint8Array>,
  directory: string,
  { name, sha256 }: PretrainedFile,
): AsyncGenerator<Uint8Array> {
  const hash = createHash("sha256");
  for await (const part of parts) {
    hash.update(part);
    yield part;
  }
  if (hash.digest("hex") !== sha256) changed(directory, name);
}

function changed(directory: string, file: string): never {
  throw new InvalidInput(`${directory}/${file} was changed while it was read; submit again`);
}
