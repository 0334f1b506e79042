import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type GenerateOptions, generate } from "../../../ml/inference/generate.ts";
import { loadGenerativeModel } from "../../../ml/inference/generative-model.ts";
import { TEXT, writeCheckpoint } from "../../support/models.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-generate-"));
await writeCheckpoint(directory, TEXT);
const model = await loadGenerativeModel(directory);
after(() => {
  model.dispose();
  rmSync(directory, { recursive: true, force: true });
});

const options = (changes: Partial<GenerateOptions> = {}): GenerateOptions => ({
  model,
  prompts: ["Phil"],
  maxNewTokens: 20,
  temperature: 1,
  seed: 1,
  ...changes,
});

const textOf = async (changes: Partial<GenerateOptions> = {}) => (await generate(options(changes)))[0]?.text;

test("generation goes on past the context and streams every fragment in order", async () => {
  const fragments: string[] = [];
  const [generated] = await generate(options(), async (fragment) => {
    await Promise.resolve();
    fragments.push(fragment);
  });
  const text = generated?.text ?? "";
  assert.equal([...text].length, 20);
  assert.equal(fragments.length, 20);
  assert.equal(fragments.join(""), text);
  assert.deepEqual({ ...generated, text: "" }, { text: "", tokens: 20, end: "length" });
  assert.ok([...text].every((character) => TEXT.includes(character)));
});

test("the same seed gives the same text and another seed another", async () => {
  const text = await textOf();
  assert.equal(await textOf(), text);
  assert.notEqual(await textOf({ seed: 2 }), text);
});

test("temperature 0 takes the likeliest token whatever the seed, as do top-k 1 and a tiny top-p", async () => {
  const greedy = await textOf({ temperature: 0 });
  assert.equal(await textOf({ temperature: 0, seed: 9 }), greedy);
  assert.equal(await textOf({ topK: 1, seed: 5 }), greedy);
  assert.equal(await textOf({ topP: 1e-9, seed: 5 }), greedy);
  assert.notEqual(await textOf(), greedy);
});

test("only the last tokens that fit the context count", async () => {
  // The context is 8: what goes past it leaves in pairs.
  const [long, short, other] = [
    await textOf({ prompts: [" truth. Philosop"], temperature: 0.1 }),
    await textOf({ prompts: [". Philosop"], temperature: 0.1 }),
    await textOf({ prompts: [". Philosoh"], temperature: 0.1 }),
  ];
  assert.equal(long, short);
  assert.notEqual(other, short);
});

test("a text goes on in the same way wherever its prompt ended", async () => {
  const prompt = "Philosoph";
  const whole = (await textOf({ prompts: [prompt], temperature: 0 })) ?? "";
  for (const length of [1, 2, 3, 10]) {
    const rest = await textOf({
      prompts: [prompt + whole.slice(0, length)],
      maxNewTokens: 20 - length,
      temperature: 0,
    });
    assert.equal(rest, whole.slice(length));
  }
});

test("several prompts give what each gives alone, however long they are and whenever they end", async () => {
  const prompts = ["Phil", "truth is the science", "À", "世界! 🙂", "Phil"];
  for (const changes of [{ temperature: 0 }, { temperature: 1, seed: 3, stop: ["i", "h"] }]) {
    const together = await generate(options({ prompts, ...changes }));
    const alone = [];
    for (const prompt of prompts) alone.push(...(await generate(options({ prompts: [prompt], ...changes }))));
    assert.deepEqual(together, alone);
  }
});

test("a text ends before a stop string, which is never shown in part", async () => {
  const whole = (await textOf({ maxNewTokens: 30 })) ?? "";
  const stop = whole.slice(10, 13);
  const fragments: string[] = [];
  const [stopped] = await generate(options({ maxNewTokens: 30, stop: ["never there", stop] }), (fragment) => {
    fragments.push(fragment);
  });
  assert.equal(stopped?.text, whole.slice(0, whole.indexOf(stop)));
  assert.equal(stopped?.end, "stop");
  assert.equal(fragments.join(""), stopped?.text);
});

test("a token that ends texts ends this one, and is not part of it", async () => {
  const whole = (await textOf()) ?? "";
  const end = [...whole][5] ?? "";
  const endTokens = new Set(model.tokenizer.encode(end));
  const [generated] = await generate(options({ model: { ...model, endTokens } }));
  const text = whole.slice(0, whole.indexOf(end));
  assert.deepEqual(generated, { text, tokens: [...text].length + 1, end: "end-of-text" });
});

test("generation stops between two tokens when its signal is aborted", async () => {
  const controller = new AbortController();
  const fragments: string[] = [];
  const running = generate(options({ maxNewTokens: 1000, signal: controller.signal }), (fragment) => {
    if (fragments.push(fragment) === 3) controller.abort(new Error("enough"));
  });
  await assert.rejects(running, { message: "enough" });
  assert.equal(fragments.length, 3);
});

test("options out of range are refused together, and unknown characters are named", async () => {
  const wrong = { prompts: [""], maxNewTokens: 0, temperature: -1, topK: 0.5, topP: 0, repetitionPenalty: 0 };
  await assert.rejects(generate(options(wrong)), {
    name: "InvalidInput",
    problems: [
      "prompt must have at least one character",
      "maxNewTokens must be a whole number of at least 1, got 0",
      "temperature must be at least 0, got -1",
      "topK must be a whole number of at least 1, got 0.5",
      "topP must be above 0 and at most 1, got 0",
      "repetitionPenalty must be above 0, got 0",
    ],
  });
  await assert.rejects(generate(options({ prompts: ["Phil~"] })), {
    message: /does not know the character "~" \(U\+007E\)/,
  });
});

test("a model whose numbers are not finite is an error, not a text", async () => {
  const broken = mkdtempSync(join(directory, "broken-"));
  await writeCheckpoint(broken, TEXT);
  const path = join(broken, "model.safetensors");
  const file = readFileSync(path);
  file.fill(0xff, file.length - 4 * 38 * 12);
  writeFileSync(path, file);
  const damaged = await loadGenerativeModel(broken);
  await assert.rejects(generate(options({ model: damaged })), { name: "CorruptData", message: /not finite/ });
  damaged.dispose();
});
