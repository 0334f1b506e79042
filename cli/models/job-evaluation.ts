import {
  type EvaluateFileOptions,
  evaluateFile,
  type FileEvaluation,
} from "../../ml/inference/evaluate-file.ts";
import { userPredictor } from "../../ml/inference/user-predictor.ts";
import { opsOf } from "../../ml/models/layers/ops.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import * as worker from "../../worker/evaluation.ts";
import type { OpenTarget } from "../targets/target.ts";

/** The loss on the batches that a job holds out, as its own evaluations have it. */
export type HeldOut = { readonly loss: number; readonly sequences: number; readonly version: number };

/**
 * Evaluates a version of a job on what it holds out.
 *
 * @throws InvalidInput when there is no such job or version
 */
export async function evaluateHeldOut(target: OpenTarget, job: string, version?: number): Promise<HeldOut> {
  return withJobModel(target, job, version, async (model) => {
    const backend = await backendOf(model.record.spec);
    return { ...(await worker.evaluateHeldOut(model, backend)), version: model.version };
  });
}

/**
 * Evaluates a version of a job of the user's own model on a text.
 *
 * @throws InvalidInput when its model is not for text
 */
export async function evaluateOwn(
  target: OpenTarget,
  job: string,
  version: number | undefined,
  options: Omit<EvaluateFileOptions, "model">,
): Promise<FileEvaluation> {
  return withJobModel(target, job, version, async (model) => {
    const { dataset, user } = model;
    const { spec } = model.record;
    if (user === null) throw new InvalidInput(`${job} has no model of its own`);
    const backend = await backendOf(spec);
    const theta = worker.tensorsOf(model, backend);
    try {
      const text = { ops: opsOf(backend.tf), spec, dataset, user, theta };
      return await evaluateFile({ ...options, model: userPredictor(text) });
    } finally {
      backend.tf.dispose(theta);
    }
  });
}

async function withJobModel<T>(
  { cloud, address }: OpenTarget,
  job: string,
  version: number | undefined,
  use: (model: worker.JobModel) => Promise<T>,
): Promise<T> {
  const model = await worker.openJobModel(cloud, job, { cache: address.cache, version });
  try {
    return await use(model);
  } finally {
    model.close();
  }
}

async function backendOf(spec: JobSpec): Promise<Backend> {
  const backend = await loadBackend(spec.backend === "wasm" ? "wasm" : "auto");
  if (backend.note !== undefined) process.stderr.write(`note: ${backend.note}\n`);
  return backend;
}
