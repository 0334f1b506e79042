import { readFileSync, statSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import type { Store } from "../../cloud/store.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import type { ModelDescription } from "../../ml/models/model.ts";
import { ModuleProcess } from "../../ml/models/module-process.ts";
import { sizesOf } from "../../ml/models/user-model.ts";
import { sha256 } from "../../protocol/digest.ts";
import { describe, InvalidInput, PsError } from "../../protocol/errors.ts";
import type { JobFile } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { LoadedJobFile } from "./job-file.ts";

/** A user's own model: the source that every worker runs. */
export type PreparedModule = {
  readonly source: Uint8Array;
  readonly digest: string;
  /** Remarks for the user before the job starts. */
  readonly notes: readonly string[];
};

/** A module is code: a model's data belong into its options or its batches. */
const MAX_BYTES = 1 << 20;

/**
 * Reads the file of a job's own model. Returns null when the job has none.
 *
 * @throws InvalidInput when it can't be read
 */
export async function prepareModule({ job, folder }: LoadedJobFile): Promise<PreparedModule | null> {
  if (job.model.type !== "module") return null;
  const { module } = job.model;
  const name = `model.module ${module}`;
  try {
    const path = resolve(folder, module);
    const source = readSource(path, name);
    return { source, digest: sha256(source), notes: notesOn(path, folder, name) };
  } catch (error) {
    throw ofJob(job, error);
  }
}

const ofJob = (job: JobFile, error: unknown): unknown =>
  error instanceof PsError ? new InvalidInput(`${job.name}: ${error.message}`, { cause: error }) : error;

/** Says that a module is code where it may be somebody else's: another user's file, or one from elsewhere. */
function notesOn(path: string, folder: string, name: string): string[] {
  const away = relative(folder, path).split(sep)[0] === ".." || isAbsolute(relative(folder, path));
  const { uid } = statSync(path);
  const isOthers = process.getuid !== undefined && uid !== process.getuid();
  if (!away && !isOthers) return [];
  const why = isOthers ? `belongs to another user (uid ${uid})` : "lies outside of the job file's folder";
  return [`${name} ${why}: it is code, which runs on this machine and in every worker; read it first`];
}

/**
 * Runs a job's own module in a process of its own, and returns its model without its computation.
 *
 * @throws InvalidInput when it imports another file, exports no model, or does not return
 */
export async function describeModule(
  job: JobFile,
  dataset: Dataset | null,
  { source }: PreparedModule,
): Promise<ModelDescription | null> {
  if (job.model.type !== "module") return null;
  try {
    const process = await ModuleProcess.open({ source, name: `model.module ${job.model.module}` });
    try {
      return await process.describe(sizesOf(job.model, dataset));
    } finally {
      await process.close();
    }
  } catch (error) {
    throw ofJob(job, error);
  }
}

function readSource(path: string, name: string): Uint8Array {
  const info = statSync(path, { throwIfNoEntry: false });
  if (!info?.isFile()) throw new InvalidInput(`${name} must name a file that exists (that is ${path})`);
  if (info.size > MAX_BYTES) {
    throw new InvalidInput(`${name} must be at most ${MAX_BYTES} bytes, got ${info.size}`);
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InvalidInput(`${name} can't be read: ${describe(cause)}`, { cause });
  }
}

/** Adds the digest of the module. */
export function withModule(job: JobFile, module: PreparedModule | null): JobFile {
  if (module === null || job.model.type !== "module") return job;
  return { ...job, model: { ...job.model, digest: module.digest } };
}

export async function uploadModule(store: Store, { digest, source }: PreparedModule): Promise<void> {
  await store.create(keys.module(digest), source);
}
