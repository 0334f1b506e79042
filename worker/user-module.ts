import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Store } from "../cloud/store.ts";
import { checkUserModel } from "../ml/models/user-model.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import { sha256 } from "../protocol/digest.ts";
import { CorruptData, describe, InvalidInput, Unrecoverable } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { keys } from "../protocol/keys.ts";

/**
 * Runs a user's module from its source and gives the model that it exports.
 *
 * @param source TypeScript with types that can be stripped, or JavaScript; one file that imports nothing but types
 * @param name what to call it in errors
 * @throws Unrecoverable when it does not run, or exports no model
 */
export async function runModule(source: Uint8Array, name: string): Promise<UserModel> {
  const folder = await mkdtemp(join(tmpdir(), "ps-module-"));
  try {
    // .mts: always an ES module, whatever package.json may lie around. JavaScript is TypeScript without types.
    const file = join(folder, "model.mts");
    await writeFile(file, source);
    const exported: unknown = await import(pathToFileURL(file).href).catch((cause: unknown) => {
      const hint = /Cannot find/.test(String(cause)) ? "; it is one file that imports nothing but types" : "";
      throw new Unrecoverable(`${name} does not run: ${describe(cause)}${hint}`, { cause });
    });
    return checkUserModel((exported as { default?: unknown }).default, name);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The model of a job's module, from what the submitter stored; null for a job of another model.
 *
 * @throws CorruptData when it is missing or was changed
 */
export async function fetchModule(store: Store, { model }: JobSpec): Promise<UserModel | null> {
  if (model.type !== "module") return null;
  if (model.digest === undefined) throw new InvalidInput("model.digest must be set; ps-submit does it");
  const key = keys.module(model.digest);
  const stored = await store.get(key);
  if (!stored) throw new CorruptData(`${key} is missing; submit the job again to upload it`);
  if (sha256(stored.body) !== model.digest)
    throw new CorruptData(`${key} is corrupt: it does not match its name`);
  return runModule(stored.body, `model.module ${model.module}`);
}
