import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { evaluateFile } from "../../../ml/inference/evaluate-file.ts";
import { fillMask } from "../../../ml/inference/fill-mask.ts";
import { generate } from "../../../ml/inference/generate.ts";
import { loadGenerativeModel } from "../../../ml/inference/generative-model.ts";
import { loadLanguageModel } from "../../../ml/inference/language-model.ts";
import { loadBackend } from "../../../ml/tensorflow/load.ts";
import { withoutModules } from "../../support/python.ts";
import {
  type Answer,
  answersFile,
  askTransformers,
  parseAnswers,
  type Request,
  requests,
  writeModels,
} from "./transformers-requests.ts";

/** generate, fill-mask and evaluate give what transformers gives: its answers are in a file, and are checked. */
const backend = await loadBackend("auto", { threads: 1 });
const directory = mkdtempSync(join(tmpdir(), "ps-inference-"));
after(() => rmSync(directory, { recursive: true, force: true }));
writeModels(directory);
const reference = parseAnswers(readFileSync(answersFile, "utf8"));

async function withModel<T>(
  name: string,
  use: (model: Awaited<ReturnType<typeof loadLanguageModel>>) => Promise<T>,
) {
  const before = backend.tf.memory().numTensors;
  const model = await loadLanguageModel(join(directory, name), backend);
  const result = await use(model);
  model.dispose();
  assert.equal(backend.tf.memory().numTensors, before);
  return result;
}

async function generated(request: Extract<Request, { kind: "generate" }>): Promise<string> {
  const model = await loadGenerativeModel(join(directory, request.model));
  const { prompt, tokens: maxNewTokens, penalty: repetitionPenalty } = request;
  const options = { model, prompts: [prompt], maxNewTokens, repetitionPenalty, temperature: 0, seed: 1 };
  const [text] = await generate(options);
  model.dispose();
  return text?.text ?? "";
}

const ours = (request: Request): Promise<Answer> => {
  if (request.kind === "generate") return generated(request);
  return withModel(request.model, async (model) => {
    if (request.kind === "fill-mask") {
      return fillMask(model, request.text, request.top).map((guesses) =>
        guesses.map(({ text, probability }) => ({ text, probability })),
      );
    }
    const path = join(directory, "text.txt");
    writeFileSync(path, request.text);
    return (await evaluateFile({ model, path })).loss;
  });
};

function compare(actual: Answer, expected: Answer, tolerance: number): void {
  if (typeof expected === "string") assert.equal(actual, expected);
  const flat = (answer: Answer) => (Array.isArray(answer) ? answer.flat() : []);
  const numbers = (answer: Answer) =>
    typeof answer === "number" ? [answer] : flat(answer).map(({ probability }) => probability);
  assert.deepEqual(
    flat(actual).map(({ text }) => text),
    flat(expected).map(({ text }) => text),
  );
  for (const [i, number] of numbers(expected).entries()) {
    const got = numbers(actual)[i] ?? Number.NaN;
    assert.ok(Math.abs(got - number) <= tolerance, `${got} is not ${number}`);
  }
}

for (const [i, request] of requests.entries()) {
  test(`${request.kind} ${i} of ${request.model} is that of transformers`, async () => {
    compare(await ours(request), reference[i] ?? "", 1e-4);
  });
}

test("transformers still answers what the file says", {
  skip: withoutModules("torch", "transformers"),
}, () => {
  for (const [i, answer] of askTransformers(directory).entries()) compare(answer, reference[i] ?? "", 1e-5);
});

test("an evaluation predicts every token but the first, however the windows fall", async () => {
  await withModel("gpt2", async (model) => {
    const path = join(directory, "long.txt");
    const text = "a cab. ".repeat(150);
    writeFileSync(path, text);
    const progress: number[] = [];
    const result = await evaluateFile({ model, path, onProgress: (read) => progress.push(read) });
    assert.deepEqual([result.tokens, result.predicted, result.bytes], [1050, 1049, 1050]);
    assert.equal(progress.at(-1), 1050);
    assert.equal(result.perplexity, Math.exp(result.loss));
    assert.ok(Math.abs((result.bitsPerByte ?? 0) - (result.loss * 1049) / Math.LN2 / 1050) < 1e-9);
  });
});

test("an evaluation reads documents as training does", async () => {
  await withModel("gpt2", async (model) => {
    const documents = ["a cab. ".repeat(20), "a bad cab. ".repeat(9)];
    const lines = join(directory, "documents.jsonl");
    writeFileSync(lines, documents.map((page) => JSON.stringify({ page })).join("\n"));
    const result = await evaluateFile({ model, path: lines, field: "page" });
    const end = model.tokenizer.special.eos ?? model.tokenizer.special.sep;
    const ids = documents.flatMap((text) => [
      ...model.tokenizer.encode(text),
      ...(end === null ? model.tokenizer.encode("\n") : [end]),
    ]);
    assert.equal(result.tokens, ids.length);
    assert.equal(result.bytes, documents.join("").length);
    if (end === null) {
      const plain = join(directory, "documents.txt");
      writeFileSync(plain, documents.map((text) => `${text}\n`).join(""));
      assert.equal((await evaluateFile({ model, path: plain })).loss, result.loss);
    }
    await assert.rejects(evaluateFile({ model, path: lines }), {
      message: /line 1 must have a text in "text"/,
    });
    const tokens = join(directory, "some.bin");
    writeFileSync(tokens, new Uint8Array(64));
    await assert.rejects(evaluateFile({ model, path: tokens }), { message: /is tokenized already/ });
  });
});

test("a masked model predicts 15 % of the tokens, the same ones every time", async () => {
  await withModel("bert", async (model) => {
    const path = join(directory, "masked.txt");
    writeFileSync(path, "Paris is the capital of France. ".repeat(40));
    const result = await evaluateFile({ model, path });
    assert.equal(result.bitsPerByte, null);
    assert.equal(result.tokens, 280);
    // 15 windows of 18 tokens and one of 10, each within two special ones: 3 of 20, and 2 of 12.
    assert.equal(result.predicted, 15 * 3 + 2);
    assert.deepEqual(await evaluateFile({ model, path }), result);
  });
});

test("what a model can't do is refused by name", async () => {
  await assert.rejects(loadGenerativeModel(join(directory, "bert")), {
    name: "InvalidInput",
    message: /bert model does not predict what comes next/,
  });
  await withModel("bert", async (model) => {
    assert.throws(() => fillMask(model, "Paris is.", 3), { message: /must have \[MASK\]/ });
    const long = "is ".repeat(30);
    assert.throws(() => fillMask(model, `${long}[MASK]`, 3), { message: /at most 20 tokens, got 33/ });
  });
  await withModel("gpt2", async (model) => {
    assert.throws(() => fillMask(model, "a [MASK]", 3), { message: /gpt2 model does not fill masks/ });
    const path = join(directory, "one.txt");
    writeFileSync(path, "a");
    await assert.rejects(evaluateFile({ model, path }), { message: /at least 2 tokens to evaluate, got 1/ });
    writeFileSync(path, Buffer.from([0x61, 0xff]));
    await assert.rejects(evaluateFile({ model, path }), { name: "InvalidInput", message: /not UTF-8/ });
    await assert.rejects(evaluateFile({ model, path: join(directory, "none.txt") }), {
      name: "InvalidInput",
    });
  });
});
