import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import type { TokenizerChoice } from "../../../ml/data/prepare-options.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { datasetOf, tokensOf } from "../../support/models.ts";
import { python, withoutModules } from "../../support/python.ts";
import { ids, path, reference, texts } from "./reference.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-auto-tokenizer-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const skip = withoutModules("transformers");

const answerSchema = z.object({
  ids,
  decoded: z.array(z.string()),
  vocabulary: z.number(),
  special: z.object({
    eos: z.number().nullable(),
    pad: z.number().nullable(),
    mask: z.number().nullable(),
  }),
});

const file = join(directory, "alone.json");
writeFileSync(file, JSON.stringify(reference.cases.wordpiece?.tokenizer));
const choices: Record<string, { choice: TokenizerChoice; masks: boolean }> = {
  char: { choice: "char", masks: false },
  "char with masks": { choice: "char", masks: true },
  byte: { choice: "byte", masks: true },
  trained: { choice: { train: { vocab: 500 } }, masks: true },
  wordpiece: { choice: { file }, masks: true },
};

/** One process for all of them: it takes seconds to start. */
const prepared = await Promise.all(
  Object.entries(choices).map(async ([name, { choice, masks }]) => {
    const text = texts.join("\n");
    const dataset = await datasetOf(text, { tokenizer: choice, masks });
    return { name, dataset, texts: [...texts, text].filter((each) => masks || !/\[(MASK|PAD)\]/.test(each)) };
  }),
);
const answers = skip
  ? []
  : inPython(prepared.map(({ dataset, texts }) => ({ directory: dataset.directory, texts })));

function inPython(request: readonly { directory: string; texts: readonly string[] }[]) {
  const result = spawnSync(python, [path("../../python/tokenizer.py")], {
    input: JSON.stringify(request),
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  assert.equal(result.status, 0, result.stderr);
  return z.array(answerSchema).parse(JSON.parse(result.stdout));
}

for (const [i, { name, dataset, texts }] of prepared.entries()) {
  test(`AutoTokenizer reads a dataset's ${name} tokenizer with the same ids`, { skip }, () => {
    const tokenizer = openTokenizer(dataset.files, "tokenizer.json");
    const answer = answers[i];
    assert.ok(answer);
    for (const [i, text] of texts.entries()) {
      assert.deepEqual(tokenizer.encode(text), answer.ids[i], JSON.stringify(text));
      assert.equal(tokenizer.decode(answer.ids[i] ?? []), answer.decoded[i]);
    }
    assert.equal(answer.vocabulary, dataset.meta.vocabulary);
    const { eos, pad, mask } = dataset.special;
    assert.deepEqual(answer.special, { eos, pad, mask });
  });
}

test("a dataset holds the ids of its text, and the end of text where there is one", () => {
  for (const { name, dataset } of prepared) {
    const tokenizer = openTokenizer(dataset.files, "tokenizer.json");
    const end = tokenizer.special.eos ?? tokenizer.special.sep;
    const expected = [...tokenizer.encode(texts.join("\n")), ...(end === null ? [] : [end])];
    assert.deepEqual(tokensOf(dataset), expected, name);
  }
});
