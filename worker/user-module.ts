import type { Store } from "../cloud/store.ts";
import { ModuleProcess } from "../ml/models/module-process.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import { runModule } from "../ml/models/user-module.ts";
import { requireDigest } from "../protocol/digest.ts";
import { CorruptData, InvalidInput } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";

/**
 * Fetches the module that the submitter stored for a job, and opens a process that runs it. Returns null for a job of
 * another model.
 *
 * @param access the folder of the job's text, which the process may read, and whether it computes with native TensorFlow
 * @throws CorruptData when it is missing or was changed
 */
export async function openModule(
  store: Store,
  spec: JobSpec,
  { dataset, native }: { readonly dataset: string | null; readonly native: boolean },
): Promise<ModuleProcess | null> {
  const fetched = await fetchSource(store, spec);
  const readable = dataset === null ? [] : [dataset];
  return fetched && ModuleProcess.open({ ...fetched, readable, native });
}

/**
 * Fetches the module of a job and runs it in this process, for the person who evaluates the job.
 *
 * @throws CorruptData when it is missing or was changed
 */
export async function fetchModule(store: Store, spec: JobSpec): Promise<UserModel | null> {
  const fetched = await fetchSource(store, spec);
  return fetched && runModule(fetched.source, fetched.name);
}

type Fetched = { readonly source: Uint8Array; readonly name: string };

async function fetchSource(store: Store, { model }: JobSpec): Promise<Fetched | null> {
  if (model.type !== "module") return null;
  if (model.digest === undefined) throw new InvalidInput("model.digest must be set; ps-submit does it");
  const key = keys.module(model.digest);
  const { digest } = model;
  const source = await store.getAs(key, (bytes) => {
    requireDigest(bytes, digest, key);
    return bytes;
  });
  if (!source) throw new CorruptData(`${key} is missing; submit the job again to upload it`);
  return { source, name: `model.module ${model.module}` };
}
