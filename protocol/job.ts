import { z } from "zod";
import { InvalidInput } from "./errors.ts";
import { JOB_NAME, JOB_NAME_RULE } from "./job-name.ts";
import { dropout, modelContradictions, recompute, sizedModels } from "./model-spec.ts";
import { problemsOf, quoted } from "./problems.ts";

/** The job file: what a person writes, and what every part of the system reads. */

const positive = z.number().positive();
const fraction = z.number().min(0).lt(1);
const count = z.int().min(1);

export const jobName = z.string().regex(JOB_NAME, JOB_NAME_RULE);

/** A user writes `{"from": DIR}`; the rest is what the submitter finds there. */
const pretrained = z.strictObject({
  type: z.literal("pretrained").describe("May be left out beside `from`"),
  from: z
    .string()
    .min(1)
    .describe(
      "A Hugging Face model directory to start from, or s3://bucket/prefix; a relative path starts at the job file's folder",
    ),
  context: count
    .optional()
    .describe("Tokens of a training sequence; default: the longest that the model takes"),
  dropout,
  recompute,
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe("Set by ps-submit: SHA-256 over the directory's files, under which they are stored"),
  config: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Set by ps-submit: the directory's config.json"),
});

/** A user writes `{"module": FILE}` and options of the model's own. */
const userModule = z.strictObject({
  type: z.literal("module").describe("May be left out beside `module`"),
  module: z
    .string()
    .min(1)
    .describe(
      "A TypeScript file with a model of your own (docs/your-own-model.md); relative to the job file",
    ),
  options: z.record(z.string(), z.unknown()).default({}).describe("What the model is told, as it likes"),
  context: count.optional().describe("Tokens of a training sequence, for a model that trains on text"),
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe("Set by ps-submit: SHA-256 of the file, under which it is stored"),
});

const textData = z.strictObject({
  type: z.literal("text"),
  path: z
    .string()
    .min(1)
    .describe(
      "What to train on: a UTF-8 text file, .jsonl, .parquet, a .bin of 16-bit tokens as nanoGPT makes it, a " +
        "directory of such files, a glob, s3://bucket/key or s3://bucket/prefix/; a relative path starts at the job file's folder",
    ),
  field: z
    .string()
    .min(1)
    .default("text")
    .describe("Where a document stands in a line of .jsonl or a row of .parquet"),
  vocabulary: z
    .int()
    .min(1)
    .max(0x7fffffff)
    .optional()
    .describe("Distinct tokens of a .bin; default: those of the tokenizer"),
  heldOut: fraction.default(0.1).describe("Share of the text's end kept out of training, for evaluation"),
});

export const MOST_SHARDS = 1024;

/** 256 bytes, special tokens, and some merges. */
export const LEAST_VOCABULARY = 300;

const tokenizer = z
  .union(
    [
      z.enum(["char", "byte"]),
      z.strictObject({
        file: z
          .string()
          .min(1)
          .describe(
            "A tokenizer.json, or a directory with one; a relative path starts at the job file's folder",
          ),
      }),
      z.strictObject({
        train: z.strictObject({
          vocab: z
            .int()
            .min(LEAST_VOCABULARY)
            .max(1_000_000)
            .describe("Tokens of the tokenizer that is made"),
        }),
      }),
    ],
    { error: 'must be "char", "byte", { "file": PATH } or { "train": { "vocab": 300 or more } }' },
  )
  .optional()
  .describe(
    "char: one token per distinct character of the text; byte: one per byte; file: a Hugging Face tokenizer; " +
      "train: byte-level BPE, learned from the text. Default: what is beside model.from, else char",
  );

const linearData = z.strictObject({
  type: z.literal("linear"),
  examples: count.default(4096).describe("Examples x, drawn from a normal distribution by seed; y = x w*"),
});

const moduleData = z.strictObject({
  type: z.literal("module").describe("The batch function of model.module makes the data"),
});

const schedule = z.strictObject({
  type: z
    .enum(["constant", "cosine", "linear"])
    .default("constant")
    .describe("How the learning rate falls after warm-up"),
  warmup: z.int().min(0).default(0).describe("Steps of linear warm-up from 0"),
  decaySteps: count.optional().describe("The step at which the minimum is reached; default: steps"),
  minLearningRate: z.number().min(0).default(0).describe("What the decay ends at"),
});

const common = {
  learningRate: positive.describe("Peak learning rate"),
  schedule: schedule.prefault({}),
  clipNorm: positive
    .nullable()
    .default(null)
    .describe(
      "Clip a rank's gradient to this global L2 norm, in the worker, before it is cut into shards: so any " +
        "number of shards gives the same result, and one rank the same as PyTorch's clip_grad_norm_; null: off",
    ),
};
const l2 = z.number().min(0).default(0).describe("L2 penalty on matrices, added to their gradient");
const betas = {
  beta1: fraction.default(0.9),
  beta2: fraction.default(0.999),
  epsilon: positive.default(1e-8),
};
const momentum = fraction.default(0.9).describe("Momentum factor");

const optimizer = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("sgd"), ...common, weightDecay: l2 }),
  z.strictObject({ type: z.literal("momentum"), ...common, momentum, weightDecay: l2 }),
  z.strictObject({ type: z.literal("nesterov"), ...common, momentum, weightDecay: l2 }),
  z.strictObject({ type: z.literal("adam"), ...common, ...betas, weightDecay: l2 }),
  z.strictObject({
    type: z.literal("adamw"),
    ...common,
    ...betas,
    weightDecay: z.number().min(0).default(0.01).describe("Decoupled decay, on matrices only"),
  }),
]);

const fields = z.strictObject({
  $schema: z.string().optional().describe("For editors; ignored"),
  name: jobName.describe("Names the job; default: the job file's name"),
  model: z.discriminatedUnion("type", [...sizedModels, pretrained, userModule]),
  data: z.discriminatedUnion("type", [textData, linearData, moduleData]),
  tokenizer,
  optimizer,
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
    .max(MOST_SHARDS)
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

function defaultTokenizer(model: z.infer<typeof fields.shape.model>): NonNullable<z.infer<typeof tokenizer>> {
  return model.type === "pretrained" ? { file: model.from } : "char";
}

/** A validated job with every default filled in. */
export type JobSpec = z.infer<typeof jobSchema>;
export type ModelSpec = JobSpec["model"];
export type OptimizerSpec = JobSpec["optimizer"];

/**
 * Validates a job and fills in its defaults.
 *
 * @param source names where the value came from, at the head of each problem
 * @throws InvalidInput with every problem found: field, rule and value got
 */
export function parseJob(given: unknown, source: string): JobSpec {
  const value = withModelType(given);
  const result = jobSchema.safeParse(value, { reportInput: true });
  const problems = [...(result.error?.issues.flatMap(problemsOf) ?? []), ...contradictions(value)];
  if (result.success && problems.length === 0) return result.data;
  throw new InvalidInput(problems.map((problem) => `${source}: ${problem}`));
}

/** A model that says where it comes from, or which file it is, need not say its type. */
function withModelType(job: unknown): unknown {
  const model = isObject(job) ? job.model : undefined;
  if (!isObject(job) || !isObject(model) || model.type !== undefined) return job;
  if (model.from !== undefined) return { ...job, model: { type: "pretrained", ...model } };
  return model.module === undefined ? job : { ...job, model: { type: "module", ...model } };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** Problems between fields, found among those that are right by themselves, so that one run shows them all. */
function* contradictions(value: unknown): Generator<string> {
  const job = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  const model = fields.shape.model.safeParse(job.model).data;
  const data = fields.shape.data.safeParse(job.data).data;
  const optimizer = fields.shape.optimizer.safeParse(job.optimizer).data;
  if (model && model.type !== "pretrained" && model.type !== "module") yield* modelContradictions(model);
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

function dataFor({ type }: z.infer<typeof fields.shape.model>): string[] {
  if (type === "linear") return ["linear"];
  return type === "module" ? ["module", "text"] : ["text"];
}

/** The optimizer's vectors beside the parameters, in the order they are stored. */
export function slotsOf(optimizer: OptimizerSpec): readonly string[] {
  switch (optimizer.type) {
    case "sgd":
      return [];
    case "momentum":
    case "nesterov":
      return ["momentum"];
    case "adam":
    case "adamw":
      return ["first_moment", "second_moment"];
  }
}
