import { z } from "zod";

/** The data that a job trains on; how it is read and made is in ml/data. */

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
  heldOut: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe("Share of the text's end kept out of training, for evaluation"),
});

const linearData = z.strictObject({
  type: z.literal("linear"),
  examples: z
    .int()
    .min(1)
    .default(4096)
    .describe("Examples x, drawn from a normal distribution by seed; y = x w*"),
});

const moduleData = z.strictObject({
  type: z.literal("module").describe("The batch function of model.module makes the data"),
});

export const dataSchema = z.discriminatedUnion("type", [textData, linearData, moduleData]);

/** A job's data, with every default filled in. */
export type DataSpec = z.infer<typeof dataSchema>;
