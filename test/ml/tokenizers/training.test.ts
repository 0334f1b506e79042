import assert from "node:assert/strict";
import { test } from "node:test";
import type { z } from "zod";
import { byteLevelFiles } from "../../../ml/tokenizers/byte-level.ts";
import { forEachWord } from "../../../ml/tokenizers/gpt2-words.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { END_OF_TEXT, MASK, PAD } from "../../../ml/tokenizers/special-tokens.ts";
import { trainBpe } from "../../../ml/tokenizers/train-bpe.ts";
import { sha256 } from "../../../protocol/digest.ts";
import { reference, shakespeare, texts, type trainedSchema, wordsOf } from "./reference.ts";

test("training learns the tokens and merges that Hugging Face tokenizers learn", async () => {
  const words = wordsOf(shakespeare.slice(0, reference.characters));
  for (const expected of reference.trained) await learns(words, expected);
});

test("tokens that come about in several ways are learned and used as Hugging Face tokenizers do", async () => {
  const { text, trained, encoded, ids } = reference.fewLetters;
  await learns(wordsOf(text), trained);
  const bpe = await trainBpe(wordsOf(text), { vocabulary: 700, special: [END_OF_TEXT] });
  const tokenizer = openTokenizer(byteLevelFiles(bpe), "tokenizer.json");
  assert.deepEqual(tokenizer.encode(encoded), ids);
});

async function learns(words: ReadonlyMap<string, number>, expected: z.infer<typeof trainedSchema>) {
  const { vocab, tokens } = expected;
  const bpe = await trainBpe(words, { vocabulary: vocab, special: [END_OF_TEXT, PAD, MASK] });
  assert.equal(bpe.tokens.length, tokens);
  assert.equal(sha256(JSON.stringify([bpe.tokens, bpe.merges])), expected.sha256, `vocabulary ${vocab}`);
}

test("training stops when its signal is aborted", async () => {
  const controller = new AbortController();
  const running = trainBpe(wordsOf(shakespeare), {
    vocabulary: 20_000,
    special: [],
    onProgress: (tokens) => {
      if (tokens > 1000) controller.abort(new Error("enough"));
    },
    signal: controller.signal,
  });
  await assert.rejects(running, { message: "enough" });
});

test("words are those of GPT-2's expression", () => {
  const expression =
    /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
  for (const text of [...texts, shakespeare.slice(0, 20_000)]) {
    const words: string[] = [];
    forEachWord(text, (word) => words.push(word));
    assert.deepEqual(words, text.match(expression) ?? []);
  }
});
