import { z } from "zod";
import { type JobSpec, parseJob } from "./job.ts";
import { parseAs } from "./parse.ts";

/** The JSON objects of a job in S3, apart from its layout: job.json, state.json, manifest.json and evaluations. */

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const index = z.int().min(0);
const time = z.iso.datetime();

/** Everything but the spec that the result depends on. */
const provenanceSchema = z.strictObject({
  createdAt: time,
  version: z.string(),
  node: z.string(),
  platform: z.string(),
  backend: z.enum(["tensorflow", "wasm"]),
  device: z.enum(["cpu", "gpu"]),
  library: z.string(),
  flags: z.record(z.string(), z.string()),
});
export type Provenance = z.infer<typeof provenanceSchema>;

/** `job.json`: created once, never changed. */
const jobRecordSchema = z.strictObject({
  spec: z.unknown(),
  /** SHA-256 that names the dataset under `datasets/`; null for generated data. */
  dataset: digest.nullable(),
  provenance: provenanceSchema,
});
export type JobRecord = { spec: JobSpec; dataset: string | null; provenance: Provenance };

/**
 * - `starting`: no task of this attempt has been dispatched
 * - `running`: version `state.version` exists and the tasks of its step are dispatched
 * - `finishing`: the last version exists; its checkpoint and evaluations are awaited
 * - `succeeded`, `failed`, `stopped`: ended, with `reason` for the last two
 */
export const statuses = ["starting", "running", "finishing", "succeeded", "failed", "stopped"] as const;
export type Status = (typeof statuses)[number];

export const stateSchema = z.strictObject({
  job: z.string(),
  status: z.enum(statuses),
  reason: z.string().nullable(),
  /** The latest version of the whole model; null until the init task is done. */
  version: index.nullable(),
  /** Updates to reach; the spec's at first, more after `resume --steps`. */
  steps: z.int().min(1),
  /** Counts starts and resumes; names the task queue. */
  attempt: z.int().min(1),
  loss: z.number().nullable(),
  evaluation: z.strictObject({ version: index, loss: z.number() }).nullable(),
  checkpoint: z.strictObject({ version: index, sha256: digest }).nullable(),
  createdAt: time,
  updatedAt: time,
  endedAt: time.nullable(),
});
export type State = z.infer<typeof stateSchema>;

export const isEnded = (state: State): boolean =>
  state.status === "succeeded" || state.status === "failed" || state.status === "stopped";

/** The metrics of a step. Times are in milliseconds. */
export const metricsSchema = z.strictObject({
  /** The version this step made. */
  version: index,
  loss: z.number(),
  learningRate: z.number(),
  tokens: index,
  /** Slowest rank's time to pull parameters, to compute, and to push. */
  pullMs: z.number(),
  computeMs: z.number(),
  pushMs: z.number(),
  /** Slowest shard's time to sum, update and store. */
  aggregateMs: z.number(),
  /** From the previous manifest to this one. */
  stepMs: z.number(),
  workers: z.array(z.string()),
});
export type Metrics = z.infer<typeof metricsSchema>;

export const manifestSchema = z.strictObject({
  job: z.string(),
  version: index,
  /** The version this one was made from; null for version 0. */
  parent: index.nullable(),
  createdAt: time,
  /** Per shard: digest of its parameters' bytes, and of each rank's gradient piece in rank order. */
  shards: z.array(z.strictObject({ parameters: digest, gradients: z.array(digest) })),
  loss: z.number().nullable(),
  /** Training data consumed up to this version. */
  data: z.strictObject({ step: index, sequences: index, tokens: index }),
  /** The steps since the last full block of `history/`, this version's last. */
  metrics: z.array(metricsSchema),
});
export type Manifest = z.infer<typeof manifestSchema>;

export const evaluationSchema = z.strictObject({
  version: index,
  /** Mean loss per token (gpt2) or element (linear) over the held-out batches. */
  loss: z.number(),
  sequences: index,
  worker: z.string(),
});
export type Evaluation = z.infer<typeof evaluationSchema>;

/** `training_state.json` of a checkpoint: the facts that the model files do not have. Written last. */
export const trainingStateSchema = z.strictObject({
  job: z.string(),
  version: index,
  parameters: z.int().positive(),
  /** SHA-256 of the parameters' bytes in safetensors order. */
  sha256: digest,
  loss: z.number().nullable(),
  tokens: index,
  spec: z.unknown(),
  provenance: provenanceSchema,
});
export type TrainingState = z.infer<typeof trainingStateSchema>;

/** Steps in one object of `history/`. */
export const HISTORY_BLOCK = 100;

/** Parses `job.json`. */
export function parseJobRecord(bytes: Uint8Array, what: string): JobRecord {
  const record = parseAs(jobRecordSchema, bytes, what);
  return { ...record, spec: parseJob(record.spec, what) };
}
