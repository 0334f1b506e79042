import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { z } from "zod";
import type { TokenizerChoice } from "../../../ml/data/prepare-options.ts";
import { readTokenizer } from "../../../ml/data/read-tokenizer.ts";
import { byteLevelFiles, byteTokenizerFiles } from "../../../ml/tokenizers/byte-level.ts";
import { forEachWord } from "../../../ml/tokenizers/gpt2-words.ts";
import { IdList } from "../../../ml/tokenizers/id-list.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { END_OF_TEXT, MASK, PAD } from "../../../ml/tokenizers/special-tokens.ts";
import type { Tokenizer } from "../../../ml/tokenizers/tokenizer.ts";
import { trainBpe } from "../../../ml/tokenizers/train-bpe.ts";
import { fromVocabularyFiles } from "../../../ml/tokenizers/vocabulary-files.ts";
import { sha256 } from "../../../protocol/digest.ts";
import { datasetOf, tokensOf } from "../../support/models.ts";
import { python, withoutModules } from "../../support/python.ts";

/** What Hugging Face's `tokenizers` said; made by test/python/tokenizers_reference.py. */
const ids = z.array(z.array(z.number()));
const caseSchema = z.object({
  tokenizer: z.record(z.string(), z.unknown()),
  ids,
  withSpecial: ids,
  decoded: z.array(z.string()),
});
const trainedSchema = z.object({ vocab: z.number(), tokens: z.number(), sha256: z.string() });
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
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const reference = referenceSchema.parse(
  JSON.parse(readFileSync(path("./tokenizers-reference.json"), "utf8")),
);
const { texts } = reference;
const shakespeare = readFileSync(path("../../../examples/data/tinyshakespeare.txt"), "utf8");

const directory = mkdtempSync(join(tmpdir(), "ps-tokenizers-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const open = (tokenizer: unknown): Tokenizer =>
  openTokenizer({ "tokenizer.json": encode(tokenizer) }, "tokenizer.json");

for (const [name, { tokenizer, ids, withSpecial, decoded }] of Object.entries(reference.cases)) {
  test(`a ${name} tokenizer gives the ids and texts of Hugging Face tokenizers`, () => {
    const opened = open(tokenizer);
    for (const [i, text] of texts.entries()) {
      assert.deepEqual(opened.encode(text), ids[i], JSON.stringify(text));
      assert.deepEqual(opened.encode(text, { special: true }), withSpecial[i], JSON.stringify(text));
      assert.equal(opened.decode(ids[i] ?? []), decoded[i]);
    }
    assert.ok(ids.flat().every((id) => id < opened.vocabulary));
  });
}

test("special tokens are found by their usual names where no configuration says them", () => {
  const { gpt2, wordpiece } = reference.cases;
  assert.equal(open(gpt2?.tokenizer).special.eos, 0);
  assert.deepEqual(open(wordpiece?.tokenizer).special, {
    eos: null,
    bos: null,
    pad: 0,
    mask: 4,
    cls: 2,
    sep: 3,
    unk: 1,
  });
});

const wordsOf = (text: string) => {
  const counts = new Map<string, number>();
  forEachWord(text, (word) => counts.set(word, (counts.get(word) ?? 0) + 1));
  return counts;
};

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

test("a word of a million characters is encoded in a moment, with the same merges", async () => {
  const bpe = await trainBpe(wordsOf("ababab abab cab ".repeat(9)), { vocabulary: 300, special: [] });
  const tokenizer = openTokenizer(byteLevelFiles(bpe), "tokenizer.json");
  const start = performance.now();
  const ids = tokenizer.encode("ab".repeat(500_000));
  assert.ok(performance.now() - start < 10_000);
  assert.deepEqual(ids.slice(0, 8), tokenizer.encode("ab".repeat(40)).slice(0, 8));
  assert.equal(tokenizer.decode(ids), "ab".repeat(500_000));
});

test("words that are remembered do not keep the texts that they came from in memory", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const held = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const bpe = await trainBpe(wordsOf("some words"), { vocabulary: 300, special: [] });
  const tokenizer = openTokenizer(byteLevelFiles(bpe), "tokenizer.json");
  const ids = new IdList();
  const before = held();
  for (let i = 0; i < 64; i++) {
    ids.clear();
    tokenizer.encodeTo(`${"a ".repeat(1 << 18)}longword${"abcdefgh"[i % 8]}${"ijklmnop"[i >> 3]}indeed`, ids);
  }
  assert.ok(held() - before < 8 << 20, `${held() - before} bytes stay of 64 texts of 512 KiB`);
});

test("the byte tokenizer writes any text as its bytes", () => {
  const tokenizer = openTokenizer(byteTokenizerFiles([PAD, MASK]), "tokenizer.json");
  assert.deepEqual(tokenizer.encode("a\r\né🙂"), [...Buffer.from("a\r\né🙂")]);
  assert.deepEqual(tokenizer.encode(`x${END_OF_TEXT}[MASK]`), [120, 256, 258]);
  assert.equal(tokenizer.decode([120, 256, 258]), `x${END_OF_TEXT}[MASK]`);
  assert.equal(tokenizer.decode([120, 256, 258], { skipSpecial: true }), "x");
  assert.equal(tokenizer.decode([0xc3]), "\uFFFD");
  assert.deepEqual(
    { ...tokenizer.special, vocabulary: tokenizer.vocabulary },
    { eos: 256, bos: null, pad: 257, mask: 258, cls: null, sep: null, unk: null, vocabulary: 259 },
  );
  assert.throws(() => tokenizer.decode([259]), {
    name: "InvalidInput",
    message: /a token id must be one of the tokenizer.s, got 259/,
  });
});

test("a damaged tokenizer.json is refused by name", () => {
  const { gpt2 } = reference.cases;
  const model = gpt2?.tokenizer.model as { vocab: Record<string, number>; merges: unknown[] };
  const changed = (changes: object) => open({ ...gpt2?.tokenizer, model: { ...model, ...changes } });
  const refuse = (changes: object, message: RegExp) =>
    assert.throws(() => changed(changes), { name: "CorruptData", message });
  refuse({ vocab: { ...model.vocab, Q: -1 } }, /ids must be whole numbers .*got -1 for "Q"/);
  refuse({ vocab: { ...model.vocab, Q: 2 ** 40 } }, /ids must be whole numbers/);
  refuse({ vocab: [] }, /has no tokens/);
  refuse({ byte_fallback: true, vocab: { ...model.vocab, Q: 2 ** 31 - 1 } }, /ids must be whole numbers/);
  refuse({ merges: [["x"]] }, /model\.merges must be a list of pairs/);
  refuse({ merges: [["Ġt", "☃"]] }, /has no token "(☃|Ġt☃)"/);
  refuse({ type: "Nothing" }, /model\.type/);
  assert.throws(() => open("text"), { name: "CorruptData" });
  writeFileSync(join(directory, "broken.json"), "{");
  assert.throws(() => readTokenizer(join(directory, "broken.json")), {
    name: "InvalidInput",
    message: /not JSON/,
  });
  assert.throws(() => readTokenizer(directory), { message: /must name a tokenizer\.json or a directory/ });
});

test("added tokens that can't be are refused before lists are made by their ids", () => {
  const added_tokens = [{ id: 2 ** 31 - 1, content: "<far>" }];
  assert.throws(() => open({ ...reference.cases.wordpiece?.tokenizer, added_tokens }), {
    name: "CorruptData",
    message: /added_tokens\.0\.id/,
  });
  const old = {
    "vocab.txt": Buffer.from("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"),
    "tokenizer_config.json": Buffer.from(
      JSON.stringify({ added_tokens_decoder: { 4: { content: "[MASK]", lstrip: "yes" } } }),
    ),
  };
  assert.throws(() => fromVocabularyFiles(old, "old"), {
    name: "CorruptData",
    message: /^old: the added token "\[MASK\]" is malformed \(lstrip/,
  });
});

test("a byte-level vocabulary may be larger than a call takes arguments", () => {
  const { gpt2 } = reference.cases;
  const model = gpt2?.tokenizer.model as { vocab: Record<string, number> };
  const vocab = { ...model.vocab };
  for (let id = Object.keys(vocab).length; id < 200_000; id++) vocab[`more${id}`] = id;
  const tokenizer = { ...gpt2?.tokenizer, model: { ...model, vocab } };
  assert.equal(open(tokenizer).vocabulary, 200_000);
});

test("a directory's configuration and special_tokens_map.json are taken along", () => {
  writeFileSync(join(directory, "tokenizer.json"), encode(reference.cases.gpt2?.tokenizer));
  writeFileSync(join(directory, "tokenizer_config.json"), encode({ model_max_length: 64, pad_token: null }));
  writeFileSync(
    join(directory, "special_tokens_map.json"),
    encode({ eos_token: { content: END_OF_TEXT, lstrip: false }, pad_token: END_OF_TEXT }),
  );
  const { special, files } = readTokenizer(directory);
  assert.equal(special.eos, 0);
  assert.equal(special.pad, 0);
  assert.equal(JSON.parse(new TextDecoder().decode(files["tokenizer_config.json"])).model_max_length, 64);
});

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
writeFileSync(file, encode(reference.cases.wordpiece?.tokenizer));
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
