import { z } from "zod";
import { size } from "./config.ts";
import type { Llama3Scaling } from "./layers/rotary.ts";

/** Rotary embeddings in Hugging Face's configs, for the families that have them. */

const factor = z.number().positive().finite();
/** All of a head is rotated. */
const whole = z.literal(1).optional();
/** An object is the rotation of some layers only. */
const other = z.custom((value) => typeof value !== "object" || value === null || Array.isArray(value), {
  error: "must be no rotation of some layers only",
});

const scalingSchema = z.discriminatedUnion("rope_type", [
  z
    .object({ rope_type: z.literal("default"), rope_theta: factor.optional(), partial_rotary_factor: whole })
    .catchall(other),
  z.object({
    rope_type: z.literal("llama3"),
    rope_theta: factor.optional(),
    partial_rotary_factor: whole,
    factor,
    low_freq_factor: factor,
    high_freq_factor: factor,
    original_max_position_embeddings: size.optional(),
  }),
]);

/** `rope_type` is what `type` was called later. As in Python, an empty object is none. */
const rope = z.preprocess((value) => {
  if (typeof value !== "object" || value === null) return value;
  const fields: { rope_type?: unknown; type?: unknown } = value;
  return Object.keys(fields).length === 0
    ? null
    : { ...fields, rope_type: fields.rope_type ?? fields.type ?? "default" };
}, scalingSchema.nullable().optional());

export const ropeFields = {
  rope_theta: factor.optional(),
  partial_rotary_factor: whole,
  // Transformers 4 writes the first, transformers 5 the second.
  rope_scaling: rope,
  rope_parameters: rope,
};

type RopeFields = z.infer<z.ZodObject<typeof ropeFields>>;

export type Rope = {
  /** Base of the wavelengths. */
  readonly ropeTheta: number;
  readonly ropeScaling: Llama3Scaling | null;
};

/** Where both spellings are there, the older one counts, as in transformers 4 and 5. */
export function ropeOf(config: RopeFields & { readonly max_position_embeddings: number }): Rope {
  const rope = config.rope_scaling ?? config.rope_parameters ?? { rope_type: "default" as const };
  const ropeTheta = rope.rope_theta ?? config.rope_theta ?? 10_000;
  if (rope.rope_type === "default") return { ropeTheta, ropeScaling: null };
  const ropeScaling = {
    factor: rope.factor,
    lowFrequencyFactor: rope.low_freq_factor,
    highFrequencyFactor: rope.high_freq_factor,
    originalContext: rope.original_max_position_embeddings ?? config.max_position_embeddings,
  };
  return { ropeTheta, ropeScaling };
}

/** The fields of a config that is written, in both spellings: transformers 4 takes no notice of `rope_parameters`. */
export function fieldsOfRope({ ropeTheta, ropeScaling }: Rope) {
  const scaling = ropeScaling && {
    rope_type: "llama3",
    factor: ropeScaling.factor,
    low_freq_factor: ropeScaling.lowFrequencyFactor,
    high_freq_factor: ropeScaling.highFrequencyFactor,
    original_max_position_embeddings: ropeScaling.originalContext,
  };
  return {
    rope_theta: ropeTheta,
    rope_scaling: scaling,
    rope_parameters: { rope_type: "default", ...scaling, rope_theta: ropeTheta },
  };
}
