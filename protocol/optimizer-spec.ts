import { z } from "zod";

/** The optimizer that aggregators apply, and its learning rate; its arithmetic is in functions/aggregator. */

const positive = z.number().positive();
const nonNegative = z.number().min(0);
const fraction = z.number().min(0).lt(1);

const scheduleType = z
  .enum(["constant", "cosine", "linear"])
  .describe("Form of the decay after the warm-up; constant: no decay.")
  .meta({ examples: ["cosine"] });
const warmup = z
  .int()
  .min(0)
  .describe("Number of steps in which the learning rate rises linearly from 0.")
  .meta({ examples: [100] });
const minLearningRate = nonNegative
  .describe("Learning rate at the end of the decay.")
  .meta({ examples: [1e-4] });

const decaySteps = z
  .int()
  .min(1)
  .optional()
  .describe("Step at which the decay ends. Default: `steps`.")
  .meta({ examples: [10000] });
const schedule = z.strictObject({
  type: scheduleType.default("constant"),
  warmup: warmup.default(0),
  decaySteps,
  minLearningRate: minLearningRate.default(0),
});
const SCHEDULE = "How the learning rate changes over the steps.";

const learningRate = positive.describe("Highest learning rate.").meta({ examples: [1e-3] });
const clipNorm = positive
  .nullable()
  .describe(
    "Largest global L2 norm of a rank's gradient; a larger gradient is scaled down to it. The worker clips before it " +
      "cuts the gradient into shards, so the number of shards never changes the result, and one rank gives the same as " +
      "PyTorch's clip_grad_norm_. null: no clipping.",
  )
  .meta({ examples: [1] });
const common = {
  learningRate,
  schedule: schedule
    .prefault({})
    .describe(SCHEDULE)
    .meta({ examples: [{ type: "cosine", warmup: 100 }] }),
  clipNorm: clipNorm.default(null),
};

const l2 = nonNegative
  .default(0)
  .describe("Factor of the L2 penalty on matrices, added to their gradient.")
  .meta({ examples: [1e-4] });
const decay = nonNegative
  .describe("Factor of the decoupled weight decay, which applies to matrices only.")
  .meta({ examples: [0.1] });
const momentum = fraction
  .default(0.9)
  .describe("Share of the last update that the next one keeps.")
  .meta({ examples: [0.95] });
const beta1 = fraction.describe("Decay rate of the first moment.").meta({ examples: [0.9] });
const beta2 = fraction.describe("Decay rate of the second moment.").meta({ examples: [0.95] });
const epsilon = positive.describe("Added to the denominator for stability.").meta({ examples: [1e-6] });
const moments = {
  beta1: beta1.default(0.9),
  beta2: beta2.default(0.999),
  epsilon: epsilon.default(1e-8),
};

const typed = [
  z.strictObject({ type: z.literal("sgd"), ...common, weightDecay: l2 }),
  z.strictObject({ type: z.literal("momentum"), ...common, momentum, weightDecay: l2 }),
  z.strictObject({ type: z.literal("nesterov"), ...common, momentum, weightDecay: l2 }),
  z.strictObject({ type: z.literal("adam"), ...common, ...moments, weightDecay: l2 }),
  z.strictObject({ type: z.literal("adamw"), ...common, ...moments, weightDecay: decay.default(0.01) }),
] as const;

/** An AdamW of which only the fields are set that should differ from `defaultOptimizer`. */
const untyped = z
  .strictObject({
    type: z.undefined().optional(),
    learningRate: learningRate.exactOptional(),
    schedule: z
      .strictObject({
        type: scheduleType.exactOptional(),
        warmup: warmup.exactOptional(),
        decaySteps,
        minLearningRate: minLearningRate.exactOptional(),
      })
      .exactOptional()
      .describe(SCHEDULE)
      .meta({ examples: [{ type: "cosine", warmup: 100 }] }),
    clipNorm: clipNorm.exactOptional(),
    beta1: beta1.exactOptional(),
    beta2: beta2.exactOptional(),
    epsilon: epsilon.exactOptional(),
    weightDecay: decay.exactOptional(),
  })
  .describe("Without a type: AdamW with settings that suit the model; each may be overridden.");

/** An optimizer as a job file has it. */
export const optimizerSchema = z.discriminatedUnion("type", [...typed, untyped]);
export type WrittenOptimizer = z.infer<typeof optimizerSchema>;

/** An optimizer whose type was chosen; only `decaySteps` may be missing. */
type TypedOptimizer = z.infer<(typeof typed)[number]>;

/** A job's optimizer, with every default filled in. */
export type OptimizerSpec = TypedOptimizer & {
  readonly schedule: TypedOptimizer["schedule"] & { readonly decaySteps: number };
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
