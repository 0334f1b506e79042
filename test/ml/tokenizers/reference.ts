import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { forEachWord } from "../../../ml/tokenizers/gpt2-words.ts";

/** What Hugging Face's `tokenizers` said; made by test/python/tokenizers_reference.py. */
export const ids = z.array(z.array(z.number()));
const caseSchema = z.object({
  tokenizer: z.record(z.string(), z.unknown()),
  ids,
  withSpecial: ids,
  decoded: z.array(z.string()),
});
export const trainedSchema = z.object({ vocab: z.number(), tokens: z.number(), sha256: z.string() });
const referenceSchema = z.object({
  characters: z.number(),
  texts: z.array(z.string()),
  cases: z.record(z.string(), caseSchema),
  trained: z.array(trainedSchema),
  fewLetters: z.object({
    text: z.string(),
    trained: trainedSchema,
    encoded: z.string(),
    ids: z.array(z.number()),
  }),
});
export const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
export const reference = referenceSchema.parse(
  JSON.parse(readFileSync(path("./tokenizers-reference.json"), "utf8")),
);
export const { texts } = reference;
export const shakespeare = readFileSync(path("../../../examples/data/tinyshakespeare.txt"), "utf8");

export const wordsOf = (text: string) => {
  const counts = new Map<string, number>();
  forEachWord(text, (word) => counts.set(word, (counts.get(word) ?? 0) + 1));
  return counts;
};
