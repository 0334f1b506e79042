import { z } from "zod";

/** The tokenizer that turns a job's text into tokens; the tokenizers are in ml/tokenizers. */

/** The smallest vocabulary to train: 256 bytes, special tokens, and some merges. */
export const MIN_VOCABULARY = 300;

const char = z.literal("char").describe("One token for each distinct character of the text.");
const byte = z.literal("byte").describe("One token for each byte.");

const fromFile = z
  .strictObject({
    file: z
      .string()
      .min(1)
      .describe(
        "A tokenizer.json, or a directory that holds one. A relative path starts at the job file's folder.",
      )
      .meta({ examples: ["models/gpt2"] }),
  })
  .describe(
    "A Hugging Face tokenizer: a tokenizer.json, or a directory that holds one. A relative path starts at the job file's folder.",
  );

const trained = z
  .strictObject({
    train: z.strictObject({
      vocab: z
        .int()
        .min(MIN_VOCABULARY)
        .max(1_000_000)
        .describe("Number of tokens of the new tokenizer's vocabulary.")
        .meta({ examples: [4096] }),
    }),
  })
  .describe("A byte-level BPE, learned from the text.");

export const tokenizerSchema = z
  .union([char, byte, fromFile, trained], {
    error: 'must be "char", "byte", { "file": PATH } or { "train": { "vocab": 300 or more } }',
  })
  .describe(
    "Turns the text into tokens. char: one token for each distinct character; byte: one for each byte; file: a Hugging Face " +
      "tokenizer; train: a byte-level BPE that is learned from the text. Default: that of `model.from`, else char.",
  );

export type TokenizerSpec = z.infer<typeof tokenizerSchema>;
