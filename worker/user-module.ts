import type { Store } from "../cloud/store.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import { runModule } from "../ml/models/user-module.ts";
import { requireDigest } from "../protocol/digest.ts";
import { CorruptData, InvalidInput } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";

/**
 * Fetches and runs the module that the submitter stored for a job. Returns null for a job of another model.
 *
 * @throws CorruptData when it is missing or was changed
 */
export async function fetchModule(store: Store, { model }: JobSpec): Promise<UserModel | null> {
  if (model.type !== "module") return null;
  if (model.digest === undefined) throw new InvalidInput("model.digest must be set; ps-submit does it");
  const key = keys.module(model.digest);
  const { digest } = model;
  const body = await store.getAs(key, (bytes) => {
    requireDigest(bytes, digest, key);
    return bytes;
  });
  if (!body) throw new CorruptData(`${key} is missing; submit the job again to upload it`);
  return runModule(body, `model.module ${model.module}`);
}
