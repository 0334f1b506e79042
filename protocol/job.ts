import { z } from "zod";
import { dataSchema } from "./data-spec.ts";
import { InvalidInput } from "./errors.ts";
import { completeOptimizer, defaultBatch, defaultTokenizer } from "./job-defaults.ts";
import { JOB_NAME, JOB_NAME_RULE } from "./job-name.ts";
import { expandShorthands } from "./job-shorthands.ts";
import { type ModelSpec, modelContradictions, modelSchema } from "./model-spec.ts";
import { type OptimizerSpec, optimizerSchema } from "./optimizer-spec.ts";
import { problemsOf, quoted } from "./problems.ts";
import { tokenizerSchema } from "./tokenizer-spec.ts";

/** The job: what a person writes in its file, and what every part of the system reads. */

const count = z.int().min(1);

export const jobName = z.string().regex(JOB_NAME, JOB_NAME_RULE);

export const MAX_SHARDS = 1024;

const fields = z.strictObject({
  $schema: z
    .string()
    .optional()
    .describe("Path of job.schema.json, for editors; otherwise ignored.")
    .meta({ examples: ["../job.schema.json"] }),
  name: jobName
    .describe("Name of the job. Default: the name of the job file.")
    .meta({ examples: ["shakespeare-2"] }),
  model: modelSchema,
  data: dataSchema,
  steps: count.describe("Number of updates to apply.").meta({ examples: [2000] }),
  tokenizer: tokenizerSchema.optional().meta({ examples: [{ train: { vocab: 4096 } }] }),
  optimizer: optimizerSchema
    .optional()
    .describe(
      "Turns gradients into updates. Default: AdamW with settings that suit the model (see optimizer).",
    )
    .meta({ examples: [{ learningRate: 1e-3 }] }),
  batch: count
    .optional()
    .describe(
      "Number of sequences in a rank's micro-batch. Default: as many as make 1024 tokens, from 4 to 64; 8 for a pretrained " +
        "model without `context`; 32 examples for a model that does not train on text.",
    )
    .meta({ examples: [16] }),
  accumulation: count
    .default(1)
    .describe("Number of micro-batches that a rank averages into its gradient of a step.")
    .meta({ examples: [4] }),
  ranks: z
    .int()
    .min(1)
    .max(1024)
    .default(1)
    .describe("Number of gradients that a step combines; each is computed on data of its own.")
    .meta({ examples: [2] }),
  reduce: z
    .enum(["mean", "sum"])
    .default("mean")
    .describe("How a step combines the ranks' gradients.")
    .meta({ examples: ["sum"] }),
  workers: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe(
      "Number of worker processes; never changes the result. Default: `ranks`; on a laptop no more than it has cores, " +
        "and memory for.",
    )
    .meta({ examples: [2] }),
  shards: z
    .int()
    .min(1)
    .max(MAX_SHARDS)
    .optional()
    .describe(
      "Number of parts of the parameter vector, each with an aggregator of its own; never changes the result. Default: " +
        "the number that costs least on AWS for this model and these ranks (docs/scaling.md).",
    )
    .meta({ examples: [4] }),
  freeze: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Names of parameters that keep their initial values. * stands for any characters, ? for one; a pattern may " +
        "begin at any dot of the name. Frozen parameters cost no gradient traffic and no optimizer state.",
    )
    .meta({ examples: [["wte.weight", "h.?.attn.*"]] }),
  order: z
    .enum(["random", "sequential"])
    .default("random")
    .describe(
      "Order of the training windows. random: at random offsets; sequential: one after the other, and again from the start.",
    )
    .meta({ examples: ["sequential"] }),
  seed: z
    .int()
    .min(0)
    .max(0xffffffff)
    .default(1337)
    .describe("Seed of the initial parameters, the batches and every other random draw.")
    .meta({ examples: [7] }),
  evaluateEvery: z
    .int()
    .min(0)
    .default(0)
    .describe("Number of steps between evaluations on held-out data. 0: no evaluation.")
    .meta({ examples: [250] }),
  evaluateBatches: count
    .default(20)
    .describe("Number of batches in an evaluation, spread evenly over the held-out data.")
    .meta({ examples: [100] }),
  checkpointEvery: z
    .int()
    .min(0)
    .default(0)
    .describe("Number of steps between checkpoints; the last version always gets one. 0: only that one.")
    .meta({ examples: [500] }),
  backend: z
    .enum(["auto", "tensorflow", "wasm"])
    .default("auto")
    .describe("Library that workers compute with. auto: native TensorFlow where it is installed, else wasm.")
    .meta({ examples: ["wasm"] }),
  device: z
    .enum(["auto", "cpu", "gpu"])
    .default("auto")
    .describe(
      "Device that workers compute on. auto: on a laptop a GPU if TensorFlow finds one, on a stack its GPU workers. A " +
        "worker without the device ends the job with the reason.",
    )
    .meta({ examples: ["gpu"] }),
  stallMinutes: z
    .number()
    .positive()
    .default(60)
    .describe("Number of minutes without a new version after which the job fails.")
    .meta({ examples: [120] }),
});

/** A job file as a person may write it: the source of `job.schema.json` and docs/jobs.md. */
export const jobFileSchema = fields
  .extend({
    model: modelSchema.describe("The model to train (see model)."),
    data: z
      .union([z.string().min(1).describe("The path of a text."), dataSchema])
      .describe("The data to train on (see data).")
      .meta({ examples: ["my.txt"] }),
  })
  .partial({ name: true });

const jobSchema = fields.transform(({ $schema: _, ...job }) => ({
  ...job,
  batch: job.batch ?? defaultBatch(job.model),
  tokenizer: job.tokenizer ?? defaultTokenizer(job.model),
  optimizer: completeOptimizer(job.optimizer, job.model, job.steps),
}));

/** A validated job with every default filled in, but for `shards`: their default depends on the model's size. */
export type JobFile = z.infer<typeof jobSchema>;

/** A job as it is stored and run. */
export type JobSpec = JobFile & { readonly shards: number };

/**
 * Validates a job file and fills in its defaults.
 *
 * @param source names the file, at the head of each problem
 * @throws InvalidInput with every problem: field, rule, and the value it has
 */
export function parseJobFile(written: unknown, source: string): JobFile {
  const expanded = expandShorthands(written);
  const result = jobSchema.safeParse(expanded, { reportInput: true });
  const problems = [...(result.error?.issues.flatMap(problemsOf) ?? []), ...contradictions(expanded)];
  if (result.success && problems.length === 0) return result.data;
  throw new InvalidInput(problems.map((problem) => `${source}: ${problem}`));
}

/**
 * Validates a stored job.
 *
 * @throws InvalidInput with every problem: field, rule, and the value it has
 */
export function parseJob(stored: unknown, source: string): JobSpec {
  const { shards, ...job } = parseJobFile(stored, source);
  if (shards === undefined) throw new InvalidInput(`${source}: shards is required (number)`);
  return { ...job, shards };
}

/** Problems between fields, found among those that are valid by themselves, so that one run shows them all. */
function* contradictions(value: unknown): Generator<string> {
  const job = isObject(value) ? value : {};
  const model = modelSchema.safeParse(job.model).data;
  const data = dataSchema.safeParse(job.data).data;
  const optimizer = optimizerSchema.safeParse(job.optimizer).data;
  if (model) yield* modelContradictions(model);
  const wanted = model ? dataFor(model) : [];
  if (model && data && !wanted.includes(data.type)) {
    yield `data.type must be ${quoted(wanted)} for a ${model.type} model, got "${data.type}"`;
  }
  if (model?.type === "module" && data?.type === "text" && model.context === undefined) {
    yield "model.context is required for a model that trains on text";
  }
  if (job.device === "gpu" && job.backend === "wasm") {
    yield 'device must be "cpu" or "auto" for backend "wasm", got "gpu"';
  }
  if (model && optimizer) yield* scheduleContradictions(completeOptimizer(optimizer, model, 1));
}

function* scheduleContradictions({ learningRate, schedule }: OptimizerSpec): Generator<string> {
  if (schedule.minLearningRate <= learningRate) return;
  const rule = `must be at most optimizer.learningRate ${learningRate}`;
  yield `optimizer.schedule.minLearningRate ${rule}, got ${schedule.minLearningRate}`;
}

function dataFor({ type }: ModelSpec): string[] {
  if (type === "linear") return ["linear"];
  return type === "module" ? ["module", "text"] : ["text"];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
