import type { Dataset } from "../../ml/data/dataset.ts";
import type { UserModel } from "../../ml/models/user-model-types.d.ts";
import { InvalidInput, TryAgain } from "../../protocol/errors.ts";
import type { Layout } from "../../protocol/layout.ts";
import type { JobRecord } from "../../protocol/records.ts";
import { fetchDataset } from "../../worker/dataset.ts";
import { pullFrozen } from "../../worker/frozen.ts";
import { pull } from "../../worker/pull.ts";
import { fetchModule } from "../../worker/user-module.ts";
import { cacheOf, dataDirectory } from "../targets/paths.ts";
import type { Target } from "../targets/target.ts";
import { latestVersion } from "./model-directory.ts";

/** A version of a job as its workers have it. */
export type JobModel = {
  readonly record: JobRecord;
  readonly dataset: Dataset | null;
  readonly user: UserModel | null;
  readonly layout: Layout;
  readonly frozen: Float32Array | null;
  readonly theta: Float32Array;
  readonly version: number;
};

const TRIES = 5;

/**
 * Fetches a version; the latest without `wanted`. It runs the code of a job's own module: its bytes are those that
 * the job was submitted with, by whoever may write to this place.
 *
 * @throws InvalidInput when there is no such version
 */
export async function openJobModel(
  { cloud, ...target }: Target,
  record: JobRecord,
  wanted?: number,
): Promise<JobModel> {
  const { name } = record.spec;
  const layout = await cloud.jobs.layout(name);
  if (!layout) throw new InvalidInput(`${name} has no parameters yet`);
  const theta = new Float32Array(layout.parameters);
  const version = await pullVersion({ cloud, name, layout, theta }, wanted);
  const user = await fetchModule(cloud.store, record.spec);
  const frozen = await pullFrozen(cloud, name, layout);
  const cache = target.kind === "stack" ? cacheOf(dataDirectory()) : target.cache;
  const dataset = record.dataset === null ? null : await fetchDataset(cloud, record.dataset, cache);
  return { record, dataset, user, layout, frozen, theta, version };
}

type Pulling = Pick<Target, "cloud"> & Pick<JobModel, "layout" | "theta"> & { readonly name: string };

/** A running job may remove its latest version while it is read; then the next one is taken. */
async function pullVersion({ cloud, name, layout, theta }: Pulling, wanted?: number): Promise<number> {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const version = wanted ?? (await latestVersion(cloud, name));
    if (await pull(cloud, name, layout, version, theta)) return version;
    if (wanted !== undefined) throw new InvalidInput(`${name} has no version ${wanted}`);
  }
  throw new TryAgain(`the versions of ${name} are replaced faster than they are read`);
}
