import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadBackend } from "../../worker/backend/load.ts";
import { type GenerateOptions, generate, sampleToken } from "../../worker/generate.ts";
import { TEXT, writeCheckpoint } from "./support.ts";

const backend = await loadBackend("auto", { threads: 1 });
const directory = mkdtempSync(join(tmpdir(), "ps-generate-"));
after(() => rmSync(directory, { recursive: true, force: true }));
writeCheckpoint(directory, TEXT);

const options = (changes: Partial<GenerateOptions> = {}): GenerateOptions => ({
  directory,
  backend,
  prompt: "Phil",
  maxNewTokens: 20,
  temperature: 1,
  seed: 1,
  ...changes,
});

test("generation goes on past the context, streams every piece in order and leaves no tensor behind", async () => {
  const before = backend.tf.memory().numTensors;
  const pieces: string[] = [];
  const text = await generate(options(), async (piece) => {
    await Promise.resolve();
    pieces.push(piece);
  });
  assert.equal([...text].length, 20);
  assert.equal(pieces.length, 20);
  assert.equal(pieces.join(""), text);
  assert.ok([...text].every((character) => TEXT.includes(character)));
  assert.equal(backend.tf.memory().numTensors, before);
});

test("the same seed gives the same text and another seed another", async () => {
  const text = await generate(options());
  assert.equal(await generate(options()), text);
  assert.notEqual(await generate(options({ seed: 2 })), text);
});

test("temperature 0 takes the likeliest token whatever the seed, as does top-k 1", async () => {
  const greedy = await generate(options({ temperature: 0 }));
  assert.equal(await generate(options({ temperature: 0, seed: 9 })), greedy);
  assert.equal(await generate(options({ topK: 1, seed: 5 })), greedy);
  assert.notEqual(await generate(options()), greedy);
});

test("only the last tokens that fit the context count", async () => {
  const [long, short, other] = [
    await generate(options({ prompt: "truth. Philosop" })),
    await generate(options({ prompt: "Philosop" })),
    await generate(options({ prompt: "Philosoh" })),
  ];
  assert.equal(long, short);
  assert.notEqual(other, short);
});

test("tokens are drawn by their probability at the temperature, among the k likeliest", () => {
  const logits = Float32Array.from([Math.log(1), Math.log(6), Math.log(3)]);
  const shares = (temperature: number, topK: number | null = null) => {
    const counts = [0, 0, 0];
    for (let place = 0; place < 10_000; place++) {
      const token = sampleToken(logits, { temperature, topK, seed: 4 }, place);
      counts[token] = (counts[token] ?? Number.NaN) + 1 / 10_000;
    }
    return counts;
  };
  const near = (actual: number[], expected: number[]) => {
    for (const [i, share] of expected.entries()) {
      assert.ok(Math.abs((actual[i] ?? Number.NaN) - share) < 0.02, `${actual} is not ${expected}`);
    }
  };
  near(shares(1), [0.1, 0.6, 0.3]);
  near(shares(0.5), [1 / 46, 36 / 46, 9 / 46]);
  near(shares(1, 2), [0, 2 / 3, 1 / 3]);
  near(shares(1e-9), [0, 1, 0]);
  near(shares(1, 100), [0.1, 0.6, 0.3]);
});

test("generation stops between two tokens when its signal is aborted", async () => {
  const before = backend.tf.memory().numTensors;
  const controller = new AbortController();
  const pieces: string[] = [];
  const running = generate(options({ maxNewTokens: 1000, signal: controller.signal }), (piece) => {
    if (pieces.push(piece) === 3) controller.abort(new Error("enough"));
  });
  await assert.rejects(running, { message: "enough" });
  assert.equal(pieces.length, 3);
  assert.equal(backend.tf.memory().numTensors, before);
});

test("options out of range are refused together, and unknown characters are named", async () => {
  const wrong = { prompt: "", maxNewTokens: 0, temperature: -1, topK: 0.5 };
  await assert.rejects(generate(options(wrong)), {
    name: "InvalidInput",
    problems: [
      "prompt must have at least one character",
      "maxNewTokens must be a whole number of at least 1, got 0",
      "temperature must be at least 0, got -1",
      "topK must be a whole number of at least 1, got 0.5",
    ],
  });
  await assert.rejects(generate(options({ prompt: "Phil~" })), {
    message: /does not know the character "~" \(U\+007E\)/,
  });
});

test("a model whose numbers are not finite is an error, not a text", async () => {
  const broken = mkdtempSync(join(directory, "broken-"));
  writeCheckpoint(broken, TEXT);
  const path = join(broken, "model.safetensors");
  const file = readFileSync(path);
  file.fill(0xff, file.length - 4 * 38 * 12);
  writeFileSync(path, file);
  await assert.rejects(generate(options({ directory: broken })), {
    name: "CorruptData",
    message: /not finite/,
  });
});
