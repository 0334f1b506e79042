import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { prepareJob } from "../../../cli/submission/prepare-job.ts";
import { evaluateFile } from "../../../ml/inference/evaluate-file.ts";
import { fillMask } from "../../../ml/inference/fill-mask.ts";
import { generate } from "../../../ml/inference/generate.ts";
import { loadGenerativeModel } from "../../../ml/inference/generative-model.ts";
import { loadLanguageModel } from "../../../ml/inference/language-model.ts";
import { familyOf } from "../../../ml/models/registry.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { byteTokenizerFiles } from "../../../ml/tokenizers/byte-level.ts";
import { parseJobFile } from "../../../protocol/job.ts";
import { writeModel } from "../../support/models.ts";
import { BERT, GPT2 } from "./fixture.ts";

/** Models with rows that are no token's, and tokenizers with tokens that have no row. */

const root = mkdtempSync(join(tmpdir(), "ps-uneven-"));
after(() => rmSync(root, { recursive: true, force: true }));

const ADDED = "<|added|>";

/** Writes a model with so many rows, and a byte tokenizer with one token added. */
function write(name: string, type: "gpt2" | "bert", vocabulary: number, addedId: number): string {
  const directory = join(root, name);
  mkdirSync(directory);
  writeModel(directory, familyOf(type), { ...(type === "bert" ? BERT : GPT2), context: 32, vocabulary });
  for (const [file, bytes] of Object.entries(byteTokenizerFiles(type === "bert" ? ["[PAD]", "[MASK]"] : [])))
    writeFileSync(join(directory, file), bytes);
  const path = join(directory, "tokenizer.json");
  const json = JSON.parse(readFileSync(path, "utf8"));
  const added = { content: ADDED, single_word: false, lstrip: false, rstrip: false, normalized: false };
  json.added_tokens.push({ ...added, id: addedId, special: false });
  writeFileSync(path, JSON.stringify(json));
  return directory;
}

const padded = write("padded", "gpt2", 320, 300);
const short = write("short", "gpt2", 257, 257);

for (const sampling of [{ temperature: 3 }, { temperature: 0 }, { temperature: 3, topK: 40 }]) {
  test(`rows without a token are never drawn: ${JSON.stringify(sampling)}`, async () => {
    const model = await loadGenerativeModel(padded);
    for (let seed = 0; seed < 5; seed++) {
      const options = { model, prompts: ["a"], maxNewTokens: 60, seed, ...sampling };
      const [text] = await generate(options);
      assert.ok(text && (text.tokens === 60 || text.end === "end-of-text"));
    }
    model.dispose();
  });
}

test("a mask is not filled by a row without a token", async () => {
  const directory = write("bert", "bert", 320, 300);
  const model = await loadLanguageModel(directory, await loadBackend("wasm", {}));
  const [guesses] = fillMask(model, "a[MASK]b", 1000);
  const known = (guesses ?? []).map(({ token }) => token);
  assert.equal(known.length, 260);
  assert.ok(known.every((token) => model.tokenizer.has(token)));
  model.dispose();
});

test("a token without a row loads with a note, and a text with it is refused", async () => {
  const model = await loadGenerativeModel(short);
  assert.match(model.notes.join(), /ids up to 257, the model only 257 rows/);
  const options = { model, maxNewTokens: 5, temperature: 0, seed: 1 };
  assert.equal((await generate({ ...options, prompts: ["a"] }))[0]?.tokens, 5);
  await assert.rejects(generate({ ...options, prompts: [`a${ADDED}`] }), {
    name: "InvalidInput",
    message: /prompt has the token "<\|added\|>" with id 257; .* below 257 only/,
  });
  model.dispose();
  const path = join(root, "evaluated.txt");
  const evaluated = await loadLanguageModel(short, await loadBackend("wasm", {}));
  writeFileSync(path, "to be or not to be");
  assert.ok((await evaluateFile({ model: evaluated, path })).loss > 0);
  writeFileSync(path, `to be ${ADDED}`);
  await assert.rejects(evaluateFile({ model: evaluated, path }), {
    message: /the text has the token "<\|added/,
  });
  evaluated.dispose();
});

test("training on a text without such tokens goes on with a note; one with them is refused", async () => {
  const prepared = (text: string) => {
    const textPath = join(root, "text.txt");
    writeFileSync(textPath, text);
    const job = parseJobFile(
      {
        name: "uneven",
        model: { from: "short", context: 8 },
        data: { type: "text", path: "text.txt" },
        optimizer: { type: "sgd", learningRate: 0.1 },
        steps: 1,
      },
      "uneven",
    );
    const options = { cache: join(root, "cache"), environment: {} };
    return prepareJob({ job, textPath, folder: root }, options);
  };
  const text = "to be or not to be, that is the question. ".repeat(20);
  const { notes } = await prepared(text);
  assert.match(notes.join(), /ids up to 257, model\.from only 257 rows .*the text has no token past them/);
  await assert.rejects(prepared(`${text}${ADDED}`), {
    name: "InvalidInput",
    message: /token 840 of the text is 257.*resize_token_embeddings/,
  });
});
