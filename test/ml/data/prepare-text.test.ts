import assert from "node:assert/strict";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Dataset, openDataset } from "../../../ml/data/dataset.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { CorruptData } from "../../../protocol/errors.ts";
import { datasetOf, TEXT, tokensOf } from "../../support/models.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-text-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const cache = join(directory, "cache");
const bytes = (text: string) => new TextEncoder().encode(text);
const tokenizerOf = ({ files }: Dataset) => openTokenizer(files, "tokenizer.json");
const prepare = (path: string, name?: string) =>
  prepareText({ path, tokenizer: "char", cache, ...(name ? { name } : {}) });

test("a text comes back from its tokens unchanged", async () => {
  const text = `\uFEFF${TEXT}\r\n  \u00A0end`;
  const dataset = await datasetOf(text);
  const tokenizer = tokenizerOf(dataset);
  assert.equal(tokenizer.decode(tokensOf(dataset)), text);
  assert.deepEqual(tokenizer.encode(text), tokensOf(dataset));
  assert.equal(dataset.meta.tokens, [...text].length);
  assert.equal(dataset.meta.vocabulary, new Set(text).size);
  assert.equal(dataset.meta.bytes, bytes(text).length);
});

test("tokens are numbered in the order of code points, not of UTF-16 units", async () => {
  assert.deepEqual(tokensOf(await datasetOf("\u{1F600}\uFF5Eba")), [3, 2, 1, 0]);
});

test("characters that straddle the chunks in which a text is read are whole", async () => {
  const dataset = await datasetOf(`a${"世🙂".repeat(400_000)}`);
  assert.equal(dataset.meta.tokens, 800_001);
  const tokens = tokensOf(dataset);
  assert.ok(tokens.every((token, i) => token === (i === 0 ? 0 : i % 2 === 1 ? 1 : 2)));
});

test("the same text gives the same dataset and another text another", async () => {
  const [first, second] = [await datasetOf(TEXT), await datasetOf(TEXT, { cache })];
  assert.deepEqual(first.files, second.files);
  assert.equal(first.digest, second.digest);
  assert.notEqual(first.digest, (await datasetOf(`${TEXT}!`)).digest);
});

test("a dataset by characters has the name it always had", async () => {
  // From before tokens were read from disk; jobs of that time name their datasets so.
  const { digest } = await datasetOf("hello world\n");
  assert.equal(digest, "ea01ae3d79482deeca815c077d8c15963829a6ff78831bd79fa6f8126bd91077");
});

test("a text that can't be used is refused with its name and what to do", async () => {
  const path = join(directory, "latin.txt");
  writeFileSync(path, Buffer.concat([Buffer.from("caf"), Buffer.from([0xe9, 0x20, 0x61])]));
  await assert.rejects(prepare(path), {
    name: "InvalidInput",
    message: /latin\.txt is not UTF-8.*near byte 4.*iconv/,
  });
  const empty = join(directory, "empty.txt");
  writeFileSync(empty, "");
  await assert.rejects(prepare(empty, "empty.txt"), {
    name: "InvalidInput",
    message: /^empty\.txt is empty/,
  });
  await assert.rejects(prepare(join(directory, "none.txt")), {
    name: "InvalidInput",
    message: /none\.txt must name a file that exists; there is none at \//,
  });
  const drafts = join(cache, "drafts");
  assert.deepEqual(existsSync(drafts) ? readdirSync(drafts) : [], []);
});

test("bytes that are not UTF-8 are found where they are in a long text", async () => {
  const text = Buffer.from("word and word\n".repeat(200_000));
  text[2_000_003] = 0xff;
  await assert.rejects(datasetOf(text), { name: "InvalidInput", message: /near byte 200000[34]\)/ });
});

test("a text with more characters than tokens is refused", async () => {
  const codes = Array.from({ length: 65_537 }, (_, i) => 0x10000 + i);
  const text = codes.map((code) => String.fromCodePoint(code)).join("");
  await assert.rejects(datasetOf(text, { name: "big" }), {
    message: /65537 distinct characters.*allows 65536/,
  });
  assert.equal((await datasetOf(text.slice(2))).meta.vocabulary, 65_536);
});

test("a damaged dataset is refused", async () => {
  const whole = await datasetOf(TEXT);
  const damaged = (change: (directory: string) => void): string => {
    const copy = mkdtempSync(join(directory, "damaged-"));
    cpSync(whole.directory, copy, { recursive: true });
    change(copy);
    return copy;
  };
  const refuse = (change: (directory: string) => void, message: RegExp) =>
    assert.rejects(openDataset(damaged(change)), { name: "CorruptData", message });
  await refuse((copy) => rmSync(join(copy, "tokens.bin")), /no tokens\.bin/);
  await refuse((copy) => rmSync(join(copy, "tokenizer.json")), /no tokenizer\.json/);
  await refuse(
    (copy) => truncateSync(join(copy, "tokens.bin"), 10),
    /must be \d+ bytes for \d+ tokens, got 10/,
  );
  await refuse((copy) => appendFileSync(join(copy, "tokens.bin"), "x"), /must be \d+ bytes/);
  await refuse((copy) => writeFileSync(join(copy, "meta.json"), "{}"), /malformed/);
  const altered = await openDataset(
    damaged((copy) => writeFileSync(join(copy, "tokens.bin"), filled(whole))),
  );
  assert.notEqual(altered.digest, whole.digest);
  assert.throws(() => altered.tokens.read(4, new Int32Array(3)), {
    name: "CorruptData",
    message: /token 5 must be below its vocabulary \d+, got 255/,
  });
  assert.throws(() => whole.tokens.read(whole.tokens.length - 1, new Int32Array(2)), CorruptData);
});

/** Tokens of which the sixth is 255. */
function filled({ tokens }: Dataset): Uint8Array {
  const ids = new Uint16Array(tokens.length);
  ids[5] = 255;
  return new Uint8Array(ids.buffer);
}

test("an unknown character is named", async () => {
  const tokenizer = tokenizerOf(await datasetOf("abc\n"));
  assert.throws(() => tokenizer.encode("abé"), {
    name: "InvalidInput",
    message: /does not know the character "é" \(U\+00E9\)/,
  });
  assert.throws(() => tokenizer.decode([4]), {
    name: "InvalidInput",
    message: /must be one of the tokenizer.s, got 4/,
  });
});

test("a tokenizer file of another kind, or with gaps, is refused", () => {
  const open = (value: unknown) =>
    openTokenizer({ "tokenizer.json": bytes(JSON.stringify(value)) }, "tokenizer.json");
  assert.throws(() => open({ model: { type: "BPE", vocab: {} } }), CorruptData);
  assert.throws(() => openTokenizer({}, "tokenizer.json"), { message: "tokenizer.json is missing" });
  const pre_tokenizer = {
    type: "Split",
    pattern: { Regex: "[\\s\\S]" },
    behavior: "Isolated",
    invert: false,
  };
  assert.throws(() => open({ pre_tokenizer, model: { type: "WordLevel", vocab: { a: 0, b: 2 } } }), {
    name: "CorruptData",
    message: /has 2 tokens, but none with id 1/,
  });
});
