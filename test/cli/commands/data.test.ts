import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Playground, tinyJob, tinyText } from "../command.ts";

const playground = new Playground();
after(() => playground.close());
playground.write("text.txt", tinyText);
playground.write("pages.jsonl", `${JSON.stringify({ page: "one" })}\n${JSON.stringify({ page: "two" })}\n`);

test("data reports what a text becomes, and starts nothing", async () => {
  const { code, stdout, stderr } = await playground.run("data", "text.txt", "--vocab", "300");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^tokenizer +trained$/m);
  // No more than this can be merged in so plain a text.
  assert.match(stdout, /^vocabulary +290$/m);
  assert.match(stdout, /^documents +1$/m);
  assert.match(stdout, /^bytes +4,500$/m);
  assert.match(stdout, /^for training +[\d,]+ tokens$/m);
  assert.deepEqual(playground.processes(), []);
  assert.equal(existsSync(join(playground.dataDir, "emulator.json")), false);
});

test("data takes several sources and writes what nanoGPT reads", async () => {
  const args = ["pages.jsonl", "pages.jsonl", "--field", "page", "--tokenizer", "byte", "--out", "out"];
  const { code, stdout, stderr } = await playground.run("data", ...args);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^documents +4$/m);
  const bytes = readFileSync(join(playground.directory, "out", "tokens.bin"));
  const ids = [...new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)];
  const documents = ["one", "two", "one", "two"];
  assert.deepEqual(
    ids,
    documents.flatMap((text) => [...Buffer.from(text), 256]),
  );
  const again = await playground.run("data", "text.txt", "--out", "out");
  assert.equal(again.code, 2);
  assert.match(again.stderr, /--out must be empty or not there, out has 4 files/);
  const taken = await playground.run("data", "out/tokens.bin", "--tokenizer", "out");
  assert.match(taken.stdout, /^tokens +16$/m);
});

test("data takes tokens with the vocabulary they were made with, and says what it reads and leaves out", async () => {
  mkdirSync(join(playground.directory, "tokens"));
  const ids = (length: number) => new Uint8Array(Uint16Array.from({ length }, (_, i) => i % 65).buffer);
  playground.write("tokens/train.bin", ids(1000));
  playground.write("tokens/val.bin", ids(100));
  playground.write("tokens/input.txt", "hi");
  const { code, stdout, stderr } = await playground.run("data", "tokens", "--vocab", "65");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^files +2 of 16-bit tokens$/m);
  assert.match(stdout, /^for training +1,000 tokens$/m);
  assert.match(stdout, /^held out +100 tokens, those of tokens\/val\.bin$/m);
  assert.match(stdout, /^left out: tokens\/input\.txt \(it is text beside tokens\)$/m);
  const job = { ...tinyJob, data: { path: "tokens", vocabulary: 65 }, steps: 1, evaluateEvery: 0 };
  playground.write("tokens.json", job);
  const submitted = await playground.run("tokens.json");
  assert.equal(submitted.code, 0, submitted.stderr);
  assert.match(submitted.stdout, /^note: held out: .*val\.bin, in place of data\.heldOut$/m);
  assert.match(submitted.stdout, /^note: left out: .*input\.txt/m);
});

test("data that can't be used ends with 2 and a message", async () => {
  const refuse = async (args: readonly string[], message: RegExp) => {
    const { code, stderr } = await playground.run("data", ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  };
  await refuse(["none.txt"], /none\.txt must name a file that exists/);
  await refuse(["pages.jsonl"], /pages\.jsonl: line 1 must have a text in "text", got nothing/);
  await refuse(["text.txt", "--vocab", "100"], /--vocab must be at least 300 to train a tokenizer, got 100/);
  await refuse(["text.txt", "--tokenizer", "nowhere"], /must name a tokenizer\.json .*nowhere/);
});

test("Ctrl-C while a text is tokenized leaves nothing, and ends with 130", async () => {
  playground.write("large.txt", "The quick brown fox jumps over the lazy dog.\n".repeat(1_500_000));
  const cache = join(playground.dataDir, "cache");
  const known = readdirSync(join(cache, "datasets"));
  const running = playground.start("data", "large.txt", "--tokenizer", "byte");
  const written = () => readdirSync(join(cache, "drafts")).length > 0;
  while (!written() && running.child.exitCode === null) await new Promise((resolve) => setImmediate(resolve));
  running.child.kill("SIGINT");
  assert.equal((await running.ended).code, 130);
  assert.deepEqual(readdirSync(join(cache, "drafts")), []);
  assert.deepEqual(readdirSync(join(cache, "datasets")), known);
});

test("a job trains on documents with a tokenizer of its own making", async () => {
  const lines = Array.from({ length: 200 }, (_, i) =>
    JSON.stringify({ page: `Page ${i}: the quick brown fox.` }),
  );
  playground.write("many.jsonl", lines.join("\n"));
  const data = { type: "text", path: "many.jsonl", field: "page" };
  playground.write("bpe.json", {
    ...tinyJob,
    data,
    tokenizer: { train: { vocab: 300 } },
    steps: 3,
    evaluateEvery: 0,
  });
  const { code, stderr } = await playground.run("bpe.json");
  assert.equal(code, 0, stderr);
  const pulled = await playground.run("pull", "bpe", "model");
  assert.equal(pulled.code, 0, pulled.stderr);
  const read = (name: string) => JSON.parse(readFileSync(join(playground.directory, "model", name), "utf8"));
  assert.equal(read("config.json").vocab_size, 300);
  assert.equal(read("tokenizer.json").model.type, "BPE");
  assert.equal(read("tokenizer_config.json").eos_token, "<|endoftext|>");
});
