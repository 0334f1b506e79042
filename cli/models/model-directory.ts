import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cloud } from "../../cloud/connect.ts";
import { findAssembly, modelFiles, modelParts, trainingState } from "../../cloud/open-format.ts";
import { InvalidInput, TryAgain } from "../../protocol/errors.ts";
import { keys, numberIn } from "../../protocol/keys.ts";

const TRIES = 5;

export type WriteOptions = {
  readonly version?: number | undefined;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Writes a version of a job's model, in the open format, into a folder. Without `version` it is the latest one; a
 * running job may remove that while it is read, and then the next one is taken. Returns the version.
 *
 * @throws InvalidInput when there is no such version
 * @throws the reason of `signal` when that is aborted
 */
export async function writeModel(
  cloud: Cloud,
  job: string,
  directory: string,
  { version, signal }: WriteOptions = {},
): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const wanted = version ?? (await cloud.jobs.latestVersion(job));
    try {
      await writeVersion(cloud, job, { directory, version: wanted, signal });
      return wanted;
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error;
      if (version !== undefined) await versionMissing(cloud, job, version);
      if (attempt === TRIES) throw error;
    }
  }
}

type Goal = { readonly directory: string; readonly version: number; readonly signal: WriteOptions["signal"] };

async function writeVersion(cloud: Cloud, job: string, { directory, version, signal }: Goal): Promise<void> {
  const assembly = await findAssembly(cloud, job, version);
  await mkdir(directory, { recursive: true });
  const file = await open(join(directory, "model.safetensors"), "w");
  let sha256 = "";
  try {
    const parts = modelParts(cloud, assembly, (digest) => {
      sha256 = digest;
    });
    for await (const part of parts) {
      signal?.throwIfAborted();
      await file.writeFile(part);
    }
  } finally {
    await file.close();
  }
  for (const [name, body] of await modelFiles(cloud, job)) await writeFile(join(directory, name), body);
  await writeFile(join(directory, "training_state.json"), trainingState(assembly, sha256));
}

async function versionMissing(cloud: Cloud, job: string, version: number): Promise<never> {
  const folders = await cloud.store.listFolders(keys.versions(job));
  throw new InvalidInput(
    `${job} has no version ${version}; it has ${folders.map(numberIn).join(", ") || "none yet"}`,
  );
}
