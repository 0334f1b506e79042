import type { Cloud } from "../../cloud/connect.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { isCheckpointed, isEvaluated } from "./plan.ts";

/** Versions kept besides those that a checkpoint or an evaluation needs. */
const KEPT_VERSIONS = 2;

/**
 * Removes what is no longer needed: gradients of committed steps, and versions below the last two, except those
 * of a checkpoint and those whose evaluation is still to come.
 */
export async function collectGarbage(cloud: Cloud, spec: JobSpec, state: State): Promise<void> {
  const { store } = cloud;
  const latest = state.version;
  if (latest === null) return;
  const [versions, steps] = await Promise.all([
    store.listFolders(keys.versions(spec.name)),
    store.listFolders(keys.gradients(spec.name)),
  ]);
  const spent = steps.filter((folder) => numberIn(folder) < latest);
  for (const folder of versions.filter((folder) => numberIn(folder) <= latest - KEPT_VERSIONS)) {
    if (!(await isNeeded(cloud, spec, state, numberIn(folder)))) spent.push(folder);
  }
  await Promise.all(spent.map((folder) => store.removeAll(folder)));
}

async function isNeeded({ store }: Cloud, spec: JobSpec, state: State, version: number): Promise<boolean> {
  if (isCheckpointed(spec, state, version) || state.checkpoint?.version === version) return true;
  return isEvaluated(spec, state, version) && !(await store.get(keys.evaluation(spec.name, version)));
}
