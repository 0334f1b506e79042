import type { Cloud } from "../cloud/connect.ts";
import type { Dataset } from "../ml/data/dataset.ts";
import type { Tensors } from "../ml/models/model.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import type { Backend } from "../ml/tensorflow/backend.ts";
import { InvalidInput, TryAgain } from "../protocol/errors.ts";
import type { Layout } from "../protocol/layout.ts";
import type { JobRecord } from "../protocol/records.ts";
import { fetchDataset } from "./dataset.ts";
import { pullFrozen } from "./frozen.ts";
import { pull } from "./pull.ts";
import { createTrainer, parameterTensors } from "./trainer.ts";
import { fetchModule } from "./user-module.ts";

/** The door of this room: the one file that the command line imports. It evaluates a job as its workers do. */

/** A version of a job's model, with all that its workers compute with. */
export type JobModel = {
  readonly record: JobRecord;
  readonly version: number;
  readonly layout: Layout;
  readonly theta: Float32Array;
  readonly frozen: Float32Array | null;
  readonly dataset: Dataset | null;
  readonly user: UserModel | null;
  close(): void;
};

export type OpenOptions = {
  /** The folder that datasets are cached in. */
  readonly cache: string;
  /** Default: the latest. */
  readonly version?: number | undefined;
};

const TRIES = 5;

/**
 * Opens a version of a job's model. This runs the code of a job's own module: the bytes that the job was submitted
 * with, by whoever may write to this bucket.
 *
 * @throws InvalidInput when there is no such job or version
 */
export async function openJobModel(
  cloud: Cloud,
  job: string,
  { cache, version: wanted }: OpenOptions,
): Promise<JobModel> {
  const record = await cloud.jobs.record(job);
  const layout = await cloud.jobs.layout(job);
  if (!layout) throw new InvalidInput(`${job} has no parameters yet`);
  const theta = new Float32Array(layout.parameters);
  const version = await pullVersion(cloud, job, { layout, theta, wanted });
  const user = await fetchModule(cloud.store, record.spec);
  const frozen = await pullFrozen(cloud, job, layout);
  const dataset = record.dataset === null ? null : await fetchDataset(cloud, record.dataset, cache);
  const close = () => dataset?.tokens.close();
  return { record, version, layout, theta, frozen, dataset, user, close };
}

/** Evaluates a model on the batches that its job holds out, as the job's own evaluations do. */
export function evaluateHeldOut(
  model: JobModel,
  backend: Backend,
): Promise<{ loss: number; sequences: number }> {
  return createTrainer({ ...model, spec: model.record.spec, backend }).evaluate(model.theta);
}

/** All parameters of a model as tensors, by name; the caller disposes them. */
export const tensorsOf = ({ layout, theta, frozen }: JobModel, { tf }: Backend): Tensors =>
  parameterTensors(tf, layout, theta, frozen);

type Pulling = Pick<JobModel, "layout" | "theta"> & { readonly wanted: number | undefined };

/** A running job may remove its latest version while it is read; then the next one is taken. */
async function pullVersion(cloud: Cloud, job: string, { layout, theta, wanted }: Pulling): Promise<number> {
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    const version = wanted ?? (await cloud.jobs.latestVersion(job));
    if (await pull(cloud, { job, version, layout, theta })) return version;
    if (wanted !== undefined) throw new InvalidInput(`${job} has no version ${wanted}`);
  }
  throw new TryAgain(`the versions of ${job} are replaced faster than they are read`);
}
