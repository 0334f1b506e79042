import { z } from "zod";
import { size } from "./config.ts";
import type { Llama3Scaling } from "./layers/rotary.ts";

/** Rotary embeddings in Hugging Face's configs, for the families that have them. */

const factor = z.number().positive().finite();

/** `rope_type` is what `type` was called later; both are in use. */
const scalingSchema = z.discriminatedUnion("rope_type", [
  z.object({ rope_type: z.literal("default"), rope_theta: factor.optional() }),
  z.object({
    rope_type: z.literal("llama3"),
    rope_theta: factor.optional(),
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: size,
  }),
]);

export const ropeFields = {
  rope_theta: factor.optional(),
  // Older transformers write the first, newer ones the second.
  rope_scaling: scalingSchema.nullable().optional(),
  rope_parameters: scalingSchema.nullable().optional(),
};

type RopeFields = z.infer<z.ZodObject<typeof ropeFields>>;

export type Rope = {
  /** Base of the wavelengths. */
  readonly ropeTheta: number;
  readonly ropeScaling: Llama3Scaling | null;
};

export function ropeOf(config: RopeFields): Rope {
  const rope = config.rope_parameters ?? config.rope_scaling ?? { rope_type: "default" as const };
  const ropeTheta = rope.rope_theta ?? config.rope_theta ?? 10_000;
  if (rope.rope_type === "default") return { ropeTheta, ropeScaling: null };
  const ropeScaling = {
    factor: rope.factor,
    lowFrequencyFactor: rope.low_freq_factor,
    highFrequencyFactor: rope.high_freq_factor,
    originalContext: rope.original_max_position_embeddings,
  };
  return { ropeTheta, ropeScaling };
}

/** The fields of a config that is written. */
export const fieldsOfRope = ({ ropeTheta, ropeScaling }: Rope) => ({
  rope_theta: ropeTheta,
  rope_scaling: ropeScaling && {
    rope_type: "llama3",
    factor: ropeScaling.factor,
    low_freq_factor: ropeScaling.lowFrequencyFactor,
    high_freq_factor: ropeScaling.highFrequencyFactor,
    original_max_position_embeddings: ropeScaling.originalContext,
  },
});
