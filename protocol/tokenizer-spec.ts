import { z } from "zod";

/** The tokenizer that turns a job's text into tokens; the tokenizers are in ml/tokenizers. */

/** 256 bytes, special tokens, and some merges. */
export const MIN_VOCABULARY = 300;

export const tokenizerSchema = z
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
          vocab: z.int().min(MIN_VOCABULARY).max(1_000_000).describe("Tokens of the tokenizer that is made"),
        }),
      }),
    ],
    { error: 'must be "char", "byte", { "file": PATH } or { "train": { "vocab": 300 or more } }' },
  )
  .describe(
    "char: one token per distinct character of the text; byte: one per byte; file: a Hugging Face tokenizer; " +
      "train: byte-level BPE, learned from the text. Default: what is beside model.from, else char",
  );

export type TokenizerSpec = z.infer<typeof tokenizerSchema>;
