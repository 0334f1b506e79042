import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Store } from "../../cloud/store.ts";
import type { UserModel } from "../../ml/models/user-model-types.d.ts";
import { runModule } from "../../ml/models/user-module.ts";
import { sha256 } from "../../protocol/digest.ts";
import { describe, InvalidInput, PsError } from "../../protocol/errors.ts";
import type { JobFile } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { LoadedJobFile } from "./job-file.ts";

/** A user's own model: the source that every worker runs, and the model that it exports. */
export type PreparedModule = {
  readonly source: Uint8Array;
  readonly digest: string;
  readonly model: UserModel;
};

/** A module is code: a model's data belong into its options or its batches. */
const MAX_BYTES = 1 << 20;

/**
 * Reads and runs the file of a job's own model. Returns null when the job has none.
 *
 * @throws InvalidInput when it can't be read, imports another file, or exports no model
 */
export async function prepareModule({ job, folder }: LoadedJobFile): Promise<PreparedModule | null> {
  if (job.model.type !== "module") return null;
  const { module } = job.model;
  const name = `model.module ${module}`;
  try {
    const source = readSource(resolve(folder, module), name);
    return { source, digest: sha256(source), model: await runModule(source, name) };
  } catch (error) {
    if (!(error instanceof PsError)) throw error;
    throw new InvalidInput(`${job.name}: ${error.message}`, { cause: error });
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
