import assert from "node:assert/strict";
import { test } from "node:test";
import type { Chunk } from "../../../ml/data/chunk.ts";
import { applyPass } from "../../../ml/data/tokenize-pool.ts";

/** A tokenizer whose regular expression tries 2^n ways on n letters "a" that no "b" follows. */
const hostile = {
  model: { type: "WordLevel", vocab: { "[UNK]": 0, a: 1 }, unk_token: "[UNK]" },
  pre_tokenizer: { type: "Split", pattern: { Regex: "(a+)+b" }, behavior: "Isolated", invert: false },
};
const files = { "tokenizer.json": Buffer.from(JSON.stringify(hostile)) };
const pass = { kind: "encode", files, type: "uint16", separator: "nothing" } as const;

const chunk = (text: string, offset: number): Chunk => ({
  kind: "text",
  bytes: new TextEncoder().encode(text),
  name: "bomb.txt",
  offset,
  ends: true,
});

test("a regular expression that never ends is an error that names the tokenizer and the place", async () => {
  async function* chunks() {
    yield chunk("aab", 0);
    yield chunk("a".repeat(60), 3);
  }
  const results = applyPass(chunks(), pass, { threads: 1, patience: 1 });
  const all = async () => {
    for await (const _ of results);
  };
  await assert.rejects(all(), {
    name: "InvalidInput",
    message:
      /^tokenizer\.json takes more than 1 s for 60 bytes of bomb\.txt from byte 3 on: one of its regular expressions may never end/,
  });
});
