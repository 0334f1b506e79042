import { z } from "zod";

/** The tokenizer that turns a job's text into tokens; the tokenizers are in ml/tokenizers. */

/** The smallest vocabulary to train: 256 bytes, special tokens, and some merges. */
export const MIN_VOCABULARY = 300;

const fromFile = z.strictObject({
  file: z
    .string()
    .min(1)
    .describe(
      "A tokenizer.json, or a directory that holds one. A relative path starts at the job file's folder.",
    ),
});

const trained = z.strictObject({
  train: z.strictObject({
    vocab: z
      .int()
      .min(MIN_VOCABULARY)
      .max(1_000_000)
      .describe("Number of tokens of the new tokenizer's vocabulary."),
  }),
});

export const tokenizerSchema = z
  .union([z.enum(["char", "byte"]), fromFile, trained], {
    error: 'must be "char", "byte", { "file": PATH } or { "train": { "vocab": 300 or more } }',
  })
  .describe(
    "Turns the text into tokens. char: one token for each distinct character; byte: one for each byte; file: a Hugging Face " +
      "tokenizer; train: a byte-level BPE that is learned from the text. Default: the tokenizer in `model.from`, else char.",
  );

export type TokenizerSpec = z.infer<typeof tokenizerSchema>;
