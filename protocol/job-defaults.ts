import type { ModelSpec } from "./model-spec.ts";
import type { OptimizerSpec, WrittenOptimizer } from "./optimizer-spec.ts";
import type { TokenizerSpec } from "./tokenizer-spec.ts";

/** Defaults that depend on the model or on other fields; docs/jobs.md has the losses that they gave. */

/** Tokens of a micro-batch, within the limits on its number of sequences. */
const BATCH_TOKENS = 1024;
const MIN_SEQUENCES = 4;
const MAX_SEQUENCES = 64;
/** Sequences of a micro-batch whose length the job file does not have. */
const BATCH = 8;
const BATCH_OF_EXAMPLES = 32;

const MAX_WARMUP_STEPS = 200;

/** The number of sequences, or examples, in a micro-batch. */
export function defaultBatch(model: ModelSpec): number {
  if (model.type === "linear") return BATCH_OF_EXAMPLES;
  if (model.context === undefined) return model.type === "module" ? BATCH_OF_EXAMPLES : BATCH;
  const sequences = Math.round(BATCH_TOKENS / model.context);
  return Math.min(MAX_SEQUENCES, Math.max(MIN_SEQUENCES, sequences));
}

export const defaultTokenizer = (model: ModelSpec): TokenizerSpec =>
  model.type === "pretrained" ? { file: model.from } : "char";

/** Fills in the defaults of an optimizer that depend on the model and the job's steps. */
export function completeOptimizer(
  optimizer: WrittenOptimizer | undefined,
  model: ModelSpec,
  steps: number,
): OptimizerSpec {
  if (optimizer?.type === undefined) return defaultOptimizer(optimizer ?? {}, model, steps);
  const { schedule } = optimizer;
  return { ...optimizer, schedule: { ...schedule, decaySteps: schedule.decaySteps ?? steps } };
}

/** AdamW with clipping, a warm-up, and a cosine decay to a tenth of the learning rate. */
function defaultOptimizer(
  { type: _, schedule, ...chosen }: Extract<WrittenOptimizer, { type?: undefined }>,
  model: ModelSpec,
  steps: number,
): OptimizerSpec {
  const learningRate = chosen.learningRate ?? defaultLearningRate(model);
  return {
    clipNorm: 1,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weightDecay: model.type === "linear" ? 0 : 0.1,
    ...chosen,
    type: "adamw",
    learningRate,
    schedule: {
      type: "cosine",
      warmup: Math.min(MAX_WARMUP_STEPS, Math.floor(steps / 10)),
      minLearningRate: learningRate / 10,
      ...schedule,
      decaySteps: schedule?.decaySteps ?? steps,
    },
  };
}

/** Larger models need smaller steps. */
function defaultLearningRate(model: ModelSpec): number {
  if ("width" in model) return Math.min(2e-3, Number((0.5 / model.width).toPrecision(2)));
  switch (model.type) {
    case "pretrained":
      return 5e-5;
    case "linear":
      return 0.1;
    case "module":
      return 2e-3;
  }
}
