import type { Cloud } from "../../cloud/connect.ts";
import {
  type Assembly,
  findAssembly,
  modelFiles,
  modelParts,
  trainingState,
} from "../../cloud/open-format.ts";
import { requireVersion } from "../../cloud/versions.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";

/**
 * The checkpointer of one job: writes a version as a Hugging Face model directory, `training_state.json` last, and
 * wakes the coordinator. Every file is create-only, so a second run adds the files that a first one did not.
 */
export async function checkpoint(cloud: Cloud, job: string, version: number): Promise<void> {
  const { store } = cloud;
  const key = (file: string) => keys.checkpoint(job, version, file);
  if (!(await store.get(key("training_state.json")))) {
    const assembly = await findReached(cloud, job, version);
    if (assembly === null) return;
    let sha256 = "";
    const parts = modelParts(cloud, assembly, (digest) => {
      sha256 = digest;
    });
    await store.createFromParts(key("model.safetensors"), parts);
    for (const [name, body] of await modelFiles(cloud, job)) await store.create(key(name), body);
    await store.create(key("training_state.json"), trainingState(assembly, sha256));
  }
  await wakeCoordinator(cloud, job, `checkpoint-${version}-${Date.now()}`);
}

/** Returns null for a version that the job is not at yet: a resume went back from it. */
async function findReached(cloud: Cloud, job: string, version: number): Promise<Assembly | null> {
  try {
    return await findAssembly(cloud, job, version);
  } catch (error) {
    if (!(error instanceof TryAgain) || (await requireVersion(cloud, job, version))) throw error;
    return null;
  }
}
