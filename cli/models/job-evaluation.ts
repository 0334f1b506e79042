import {
  type EvaluateFileOptions,
  evaluateFile,
  type FileEvaluation,
} from "../../ml/inference/evaluate-file.ts";
import { userPredictor } from "../../ml/inference/user-predictor.ts";
import { opsOf } from "../../ml/models/ops.ts";
import { type Backend, loadBackend } from "../../ml/tensorflow/load.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { createTrainer, parameterTensors } from "../../worker/trainer.ts";
import type { Target } from "../targets/target.ts";
import { type JobModel, openJobModel } from "./job-model.ts";

/** The loss on the batches that a job holds out, as its own evaluations have it. */
export type HeldOut = { readonly loss: number; readonly sequences: number; readonly version: number };

/**
 * Evaluates a version of a job on what it holds out.
 *
 * @throws InvalidInput when there is no such job or version
 */
export async function evaluateHeldOut(target: Target, job: string, version?: number): Promise<HeldOut> {
  return withJobModel(target, job, version, async ({ record: { spec }, ...model }) => {
    const trainer = createTrainer({ ...model, spec, backend: await backendOf(spec) });
    return { ...(await trainer.evaluate(model.theta)), version: model.version };
  });
}

/**
 * Evaluates a version of a job of the user's own model on a text.
 *
 * @throws InvalidInput when its model is not for text
 */
export async function evaluateOwn(
  target: Target,
  job: string,
  version: number | undefined,
  options: Omit<EvaluateFileOptions, "model">,
): Promise<FileEvaluation> {
  return withJobModel(target, job, version, async (model) => {
    const { record, dataset, user, layout, frozen } = model;
    if (user === null) throw new InvalidInput(`${job} has no model of its own`);
    const { tf } = await backendOf(record.spec);
    const theta = parameterTensors(tf, layout, model.theta, frozen);
    try {
      const text = { ops: opsOf(tf), spec: record.spec, dataset, user, theta };
      return await evaluateFile({ ...options, model: userPredictor(text) });
    } finally {
      tf.dispose(theta);
    }
  });
}

async function withJobModel<T>(
  target: Target,
  job: string,
  version: number | undefined,
  use: (model: JobModel) => Promise<T>,
): Promise<T> {
  const model = await openJobModel(target, await target.cloud.jobs.record(job), version);
  try {
    return await use(model);
  } finally {
    model.dataset?.tokens.close();
  }
}

async function backendOf(spec: JobSpec): Promise<Backend> {
  const backend = await loadBackend(spec.backend === "wasm" ? "wasm" : "auto");
  if (backend.note !== undefined) process.stderr.write(`note: ${backend.note}\n`);
  return backend;
}
