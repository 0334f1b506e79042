import { z } from "zod";

/** The data that a job trains on; ml/data reads and makes it. */

const textData = z
  .strictObject({
    type: z.literal("text").describe("May be left out, since `path` implies it."),
    path: z
      .string()
      .min(1)
      .describe(
        "The text: a UTF-8 file, .jsonl, .json, .parquet, a .bin of tokens as nanoGPT or llm.c writes it, a directory of such " +
          "files, a glob, s3://bucket/key or s3://bucket/prefix/. A relative path starts at the job file's folder.",
      )
      .meta({ examples: ["data/tinyshakespeare.txt"] }),
    field: z
      .string()
      .min(1)
      .default("text")
      .describe(
        "Name of the field that holds the document in an object of .jsonl or .json or a row of .parquet; `data.text` for one in another.",
      )
      .meta({ examples: ["content"] }),
    vocabulary: z
      .int()
      .min(1)
      .max(0x7fffffff)
      .optional()
      .describe("Number of distinct tokens of a .bin. Default: that of the tokenizer.")
      .meta({ examples: [50_257] }),
    bits: z
      .literal([16, 32])
      .optional()
      .describe(
        "Bits of a number of a .bin. Default: as many as the vocabulary needs, or as its header says.",
      )
      .meta({ examples: [32] }),
    heldOut: z
      .number()
      .min(0)
      .lt(1)
      .default(0.1)
      .describe(
        "Share of the text, at its end, that is kept out of training and used for evaluation. Files named for it, as " +
          "val.bin beside train.bin, stand in its place.",
      )
      .meta({ examples: [0.05] }),
  })
  .describe("A text. A plain string stands for its path.");

const linearData = z
  .strictObject({
    type: z.literal("linear"),
    examples: z
      .int()
      .min(1)
      .default(4096)
      .describe("Number of examples x, drawn from a normal distribution; y = x w* for a random w*.")
      .meta({ examples: [10_000] }),
  })
  .describe("Random examples for a linear model.");

const moduleData = z
  .strictObject({ type: z.literal("module") })
  .describe("Batches that the `batch` function of `model.module` makes.");

export const dataSchema = z.discriminatedUnion("type", [textData, linearData, moduleData]);

/** A job's data, with every default filled in. */
export type DataSpec = z.infer<typeof dataSchema>;
