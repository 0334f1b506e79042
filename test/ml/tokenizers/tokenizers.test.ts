import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readTokenizer } from "../../../ml/data/read-tokenizer.ts";
import { byteLevelFiles, byteTokenizerFiles } from "../../../ml/tokenizers/byte-level.ts";
import { IdList } from "../../../ml/tokenizers/id-list.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { END_OF_TEXT, MASK, PAD } from "../../../ml/tokenizers/special-tokens.ts";
import type { Tokenizer } from "../../../ml/tokenizers/tokenizer.ts";
import { trainBpe } from "../../../ml/tokenizers/train-bpe.ts";
import { fromVocabularyFiles } from "../../../ml/tokenizers/vocabulary-files.ts";
import { reference, texts, wordsOf } from "./reference.ts";

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
