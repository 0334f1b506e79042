import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { openDataset, prepareText } from "../../worker/data/text.ts";
import { openTokenizer } from "../../worker/data/tokenizer.ts";
import { TEXT } from "./support.ts";

const directory = mkdtempSync(join(tmpdir(), "ps-text-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const tokenizerOf = ({ files }: ReturnType<typeof prepareText>) => openTokenizer(files, "tokenizer.json");

test("a text comes back from its tokens unchanged", () => {
  const text = `\uFEFF${TEXT}\r\n  \u00A0end`;
  const dataset = prepareText(bytes(text));
  const tokenizer = tokenizerOf(dataset);
  assert.equal(tokenizer.decode([...dataset.tokens]), text);
  assert.deepEqual(tokenizer.encode(text), [...dataset.tokens]);
  assert.equal(dataset.meta.tokens, [...text].length);
  assert.equal(dataset.meta.vocabulary, new Set(text).size);
  assert.equal(dataset.meta.bytes, bytes(text).length);
});

test("tokens are numbered in the order of code points, not of UTF-16 units", () => {
  const dataset = prepareText(bytes("\u{1F600}\uFF5Eba"));
  assert.deepEqual([...dataset.tokens], [3, 2, 1, 0]);
});

test("characters that straddle the chunks in which a text is read are whole", () => {
  const text = `a${"世🙂".repeat(200_000)}`;
  const dataset = prepareText(bytes(text));
  assert.equal(dataset.meta.tokens, 400_001);
  assert.deepEqual([...dataset.tokens.subarray(399_997)], [1, 2, 1, 2]);
});

test("the same text gives the same dataset and another text another", () => {
  const path = join(directory, "text.txt");
  writeFileSync(path, TEXT);
  const [first, second] = [prepareText(bytes(TEXT)), prepareText(path)];
  assert.deepEqual(first.files, second.files);
  assert.equal(first.digest, second.digest);
  assert.notEqual(first.digest, prepareText(bytes(`${TEXT}!`)).digest);
});

test("a text that can't be used is refused with its name and what to do", () => {
  const path = join(directory, "latin.txt");
  writeFileSync(path, Buffer.concat([Buffer.from("caf"), Buffer.from([0xe9, 0x20, 0x61])]));
  assert.throws(() => prepareText(path), {
    name: "InvalidInput",
    message: /latin\.txt is not UTF-8.*near byte 4.*iconv/,
  });
  assert.throws(() => prepareText(bytes(""), "empty.txt"), {
    name: "InvalidInput",
    message: /^empty\.txt is empty/,
  });
  assert.throws(() => prepareText(join(directory, "none.txt")), {
    name: "InvalidInput",
    message: /none\.txt can't be read as a text file: .*ENOENT/,
  });
  assert.throws(() => prepareText(directory), InvalidInput);
});

test("a text with more characters than tokens is refused", () => {
  const codes = Array.from({ length: 65_537 }, (_, i) => 0x10000 + i);
  const text = codes.map((code) => String.fromCodePoint(code)).join("");
  assert.throws(() => prepareText(bytes(text), "big"), {
    message: /65537 distinct characters.*allows 65536/,
  });
  assert.equal(prepareText(bytes(text.slice(2))).meta.vocabulary, 65_536);
});

test("a damaged dataset is refused", () => {
  const { files } = prepareText(bytes(TEXT));
  const tokens = files["tokens.bin"] ?? new Uint8Array();
  const { "tokens.bin": _, ...incomplete } = files;
  assert.throws(() => openDataset(incomplete), { name: "CorruptData", message: /no tokens\.bin/ });
  assert.throws(() => openDataset({ ...files, "tokens.bin": tokens.subarray(2) }), {
    message: /must be \d+ bytes/,
  });
  const altered = tokens.slice();
  altered[11] = 0xff;
  assert.throws(() => openDataset({ ...files, "tokens.bin": altered }), { message: /token 5 must be below/ });
  assert.throws(() => openDataset({ ...files, "meta.json": bytes("{}") }), CorruptData);
});

test("tokens at an odd place in a buffer are read as well", () => {
  const { files, tokens } = prepareText(bytes(TEXT));
  const shifted = new Uint8Array(tokens.byteLength + 1);
  shifted.set(files["tokens.bin"] ?? [], 1);
  assert.deepEqual(openDataset({ ...files, "tokens.bin": shifted.subarray(1) }).tokens, tokens);
});

test("an unknown character is named", () => {
  const tokenizer = tokenizerOf(prepareText(bytes("abc\n")));
  assert.throws(() => tokenizer.encode("abé"), {
    name: "InvalidInput",
    message: /does not know the character "é" \(U\+00E9\)/,
  });
  assert.throws(() => tokenizer.decode([4]), { name: "InvalidInput", message: /below 4, got 4/ });
});

test("a tokenizer file of another kind, or with gaps, is refused", () => {
  const open = (value: unknown) =>
    openTokenizer({ "tokenizer.json": bytes(JSON.stringify(value)) }, "tokenizer.json");
  assert.throws(() => open({ model: { type: "BPE", vocab: {} } }), CorruptData);
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
