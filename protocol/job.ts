import { z } from "zod";
import { dataSchema } from "./data-spec.ts";
import { InvalidInput } from "./errors.ts";
import { JOB_NAME, JOB_NAME_RULE } from "./job-name.ts";
import { type ModelSpec, modelContradictions, modelSchema, withModelType } from "./model-spec.ts";
import { optimizerSchema } from "./optimizer-spec.ts";
import { problemsOf, quoted } from "./problems.ts";
import { type TokenizerSpec, tokenizerSchema } from "./tokenizer-spec.ts";

/** The job file: what a person writes, and what every part of the system reads. */

const positive = z.number().positive();
const count = z.int().min(1);

export const jobName = z.string().regex(JOB_NAME, JOB_NAME_RULE);

export const MAX_SHARDS = 1024;

const fields = z.strictObject({
  $schema: z.string().optional().describe("For editors; ignored"),
  name: jobName.describe("Names the job; default: the job file's name"),
  model: modelSchema,
  data: dataSchema,
  tokenizer: tokenizerSchema.optional(),
  optimizer: optimizerSchema,
  freeze: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Parameters that stay as they start, by name: * stands for any characters, ? for one, and a pattern may " +
        "begin at any dot of the name. They cost no gradient traffic and no optimizer state",
    ),
  steps: count.describe("Updates to apply"),
  ranks: z.int().min(1).max(1024).default(1).describe("Data-parallel slots of a step"),
  batch: count.describe("Sequences of one rank's micro-batch"),
  accumulation: count.default(1).describe("Micro-batches a rank averages into its gradient"),
  shards: z
    .int()
    .min(1)
    .max(MAX_SHARDS)
    .optional()
    .describe(
      "Parts of the parameter vector, each with its aggregator. Never changes the result; default: what costs least " +
        "for this model and these ranks on AWS (docs/scaling.md)",
    ),
  reduce: z.enum(["mean", "sum"]).default("mean").describe("How the ranks' gradients are combined"),
  seed: z.int().min(0).max(0xffffffff).default(1337).describe("Of the initial weights and every batch"),
  workers: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .describe("Worker processes; default: ranks. Never changes the result"),
  backend: z
    .enum(["auto", "tensorflow", "wasm"])
    .default("auto")
    .describe("auto: native TensorFlow where it is installed, else wasm"),
  device: z
    .enum(["auto", "cpu", "gpu"])
    .default("auto")
    .describe(
      "What workers compute on. auto: on a laptop a GPU where TensorFlow finds one, on a stack its GPU workers; a worker " +
        "that lacks the device ends the job with the reason",
    ),
  checkpointEvery: z
    .int()
    .min(0)
    .default(0)
    .describe("Steps between checkpoints; the last version always gets one"),
  evaluateEvery: z.int().min(0).default(0).describe("Steps between evaluations on held-out data; 0: none"),
  evaluateBatches: count
    .default(20)
    .describe("Batches of one evaluation, spread evenly over the held-out data"),
  order: z
    .enum(["random", "sequential"])
    .default("random")
    .describe("random: windows at random places; sequential: one after the other, wrapping around"),
  stallMinutes: positive.default(60).describe("A job without a new version for this long fails"),
});

/** Job files as JSON Schema describes them; what `job.schema.json` is made from. */
export const jobFileSchema = fields.partial({ name: true });

const jobSchema = fields.transform(({ $schema: _, workers, shards, ...job }) => ({
  ...job,
  // The submitter, who knows the model's size, has its own default.
  shards: shards ?? 1,
  workers: workers ?? job.ranks,
  tokenizer: job.tokenizer ?? defaultTokenizer(job.model),
  optimizer: {
    ...job.optimizer,
    schedule: { ...job.optimizer.schedule, decaySteps: job.optimizer.schedule.decaySteps ?? job.steps },
  },
}));

function defaultTokenizer(model: ModelSpec): TokenizerSpec {
  return model.type === "pretrained" ? { file: model.from } : "char";
}

/** A validated job with every default filled in. */
export type JobSpec = z.infer<typeof jobSchema>;

/**
 * Validates a job and fills in its defaults.
 *
 * @param source names where the value came from, at the head of each problem
 * @throws InvalidInput with every problem found: field, rule and value got
 */
export function parseJob(given: unknown, source: string): JobSpec {
  const value = isObject(given) ? { ...given, model: withModelType(given.model) } : given;
  const result = jobSchema.safeParse(value, { reportInput: true });
  const problems = [...(result.error?.issues.flatMap(problemsOf) ?? []), ...contradictions(value)];
  if (result.success && problems.length === 0) return result.data;
  throw new InvalidInput(problems.map((problem) => `${source}: ${problem}`));
}

/** Problems between fields, found among those that are right by themselves, so that one run shows them all. */
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
  const lowest = optimizer?.schedule.minLearningRate ?? 0;
  if (optimizer && lowest > optimizer.learningRate) {
    const rule = `must be at most optimizer.learningRate ${optimizer.learningRate}`;
    yield `optimizer.schedule.minLearningRate ${rule}, got ${lowest}`;
  }
}

function dataFor({ type }: ModelSpec): string[] {
  if (type === "linear") return ["linear"];
  return type === "module" ? ["module", "text"] : ["text"];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
