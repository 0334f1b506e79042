import { z } from "zod";

/** The optimizer that aggregators apply, and its learning rate; its arithmetic is in functions/aggregator. */

const positive = z.number().positive();
const fraction = z.number().min(0).lt(1);

const schedule = z.strictObject({
  type: z
    .enum(["constant", "cosine", "linear"])
    .default("constant")
    .describe("How the learning rate falls after warm-up"),
  warmup: z.int().min(0).default(0).describe("Steps of linear warm-up from 0"),
  decaySteps: z.int().min(1).optional().describe("The step at which the minimum is reached; default: steps"),
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

export const optimizerSchema = z.discriminatedUnion("type", [
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

/** A job's optimizer as its file may have it: without `decaySteps` the decay ends with the job. */
type OptimizerFields = z.infer<typeof optimizerSchema>;

/** A job's optimizer, with every default filled in. */
export type OptimizerSpec = OptimizerFields & {
  readonly schedule: OptimizerFields["schedule"] & { readonly decaySteps: number };
};

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
