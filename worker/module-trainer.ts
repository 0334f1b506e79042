import type { Dataset } from "../ml/data/dataset.ts";
import type { ModuleProcess } from "../ml/models/module-process.ts";
import type { JobSpec } from "../protocol/job.ts";
import type { Layout } from "../protocol/layout.ts";
import type { Provenance } from "../protocol/records.ts";
import type { GradientRequest, TrainRequest } from "./module-program.ts";
import type { Gradient, Trainer } from "./trainer.ts";

export type ModuleTrainerOptions = {
  readonly spec: JobSpec;
  readonly layout: Layout;
  readonly dataset: Dataset | null;
  readonly frozen: Float32Array | null;
  readonly backend: Pick<Provenance, "backend" | "device">;
};

/** The watchdog ends a job that is silent for `stallMinutes`; a module that loops should be named before. */
const SHARE_OF_STALL = 0.9;

/** Computes the gradients of a user's model in the process of its module. */
export async function moduleTrainer(
  module: ModuleProcess,
  { spec, layout, dataset, frozen, backend }: ModuleTrainerOptions,
): Promise<Trainer> {
  const limitMs = Math.round(SHARE_OF_STALL * spec.stallMinutes * 60_000);
  const request: TrainRequest = { spec, layout, frozen, dataset: dataset?.directory ?? null, backend };
  await module.prepare("train", request, limitMs);
  // The values come from our own program; what the module itself returns was checked there.
  return {
    gradient: async (theta, step, rank) =>
      (await module.call("gradient", { theta, step, rank } satisfies GradientRequest, limitMs)) as Gradient,
    evaluate: async (theta) =>
      (await module.call("evaluate", { theta }, limitMs)) as Awaited<ReturnType<Trainer["evaluate"]>>,
  };
}
