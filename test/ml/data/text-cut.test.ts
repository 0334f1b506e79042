import assert from "node:assert/strict";
import { test } from "node:test";
import { TextCutter } from "../../../ml/data/text-cut.ts";
import { forEachWord } from "../../../ml/tokenizers/gpt2-words.ts";
import { mixedText } from "./mixed-text.ts";

test("chunks end where no tokenizer joins what is on both sides", () => {
  const llama3 =
    /'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/giu;
  const gpt2 = (text: string) => {
    const words: string[] = [];
    forEachWord(text, (word) => words.push(word));
    return words;
  };
  const cutter = new TextCutter({ kind: "spaces", tokens: [] });
  for (const split of [gpt2, (text: string) => text.match(llama3) ?? []]) {
    const text = mixedText().slice(0, 20_000);
    const bytes = Buffer.from(text);
    for (let limit = 100; limit < 8000; limit += 37) {
      const cut = cutter.find(bytes, limit);
      const [before, behind] = [bytes.subarray(0, cut).toString(), bytes.subarray(cut, cut + 500).toString()];
      const near = `${before.slice(-300)}${behind}`;
      assert.deepEqual([...split(before.slice(-300)), ...split(behind)], split(near), `at ${limit}: ${near}`);
    }
  }
});

test("without a space there is no cut but for tokenizers of characters", () => {
  const bytes = Buffer.from("🙂".repeat(1000));
  const cutter = new TextCutter({ kind: "characters", tokens: [] });
  for (const limit of [401, 402, 403, 404])
    assert.equal(cutter.find(bytes, limit), 4 * Math.floor(limit / 4));
  for (const kind of ["spaces", "nowhere"] as const) {
    assert.equal(new TextCutter({ kind, tokens: [] }).find(bytes, 400), -1);
  }
});

test("no cut is in an added token, or next to one", () => {
  const bytes = Buffer.from("a a\na <x> b\n<x> word word");
  const cutsOf = (tokens: readonly string[]) =>
    [6, 12, 13, 14, 20].map((limit) => new TextCutter({ kind: "spaces", tokens }).find(bytes, limit));
  assert.deepEqual(cutsOf([]), [4, 12, 12, 12, 12]);
  assert.deepEqual(cutsOf(["<x>"]), [4, 11, 11, 11, 20]);
});
