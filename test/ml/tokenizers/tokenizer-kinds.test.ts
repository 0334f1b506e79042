import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { readTokenizer } from "../../../ml/data/read-tokenizer.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { python, withoutModules } from "../../support/python.ts";

/** What Hugging Face's `tokenizers` and `transformers` said; made by test/python/tokenizer_kinds.py. */
const ids = z.array(z.array(z.number()));
const directorySchema = z.object({
  type: z.enum(["bert", "gpt2"]),
  files: z.record(z.string(), z.string()),
  ids,
  withSpecial: ids,
  special: z.record(z.string(), z.number().nullable()),
  vocabulary: z.number(),
});
const directoriesSchema = z.record(z.string(), directorySchema);
const referenceSchema = z.object({
  texts: z.array(z.string()),
  kinds: z.record(
    z.string(),
    z.object({
      tokenizer: z.record(z.string(), z.unknown()),
      ids,
      withSpecial: ids,
      decoded: z.array(z.string()),
    }),
  ),
  directories: directoriesSchema,
});
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const json = readFileSync(path("./tokenizer-kinds.json"), "utf8");
const { texts, kinds, directories } = referenceSchema.parse(JSON.parse(json));

const folder = mkdtempSync(join(tmpdir(), "ps-kinds-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = (tokenizer: unknown, config: unknown = {}) => {
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const files = { "tokenizer.json": encode(tokenizer), "tokenizer_config.json": encode(config) };
  return openTokenizer(files, "tokenizer.json");
};

for (const [name, { tokenizer, ids, withSpecial, decoded }] of Object.entries(kinds)) {
  test(`a tokenizer of the kind "${name}" gives the ids and texts of Hugging Face tokenizers`, () => {
    const opened = open(tokenizer, { remove_space: true, do_lowercase_and_remove_accent: true });
    for (const [i, text] of texts.entries()) {
      assert.deepEqual(opened.encode(text), ids[i], JSON.stringify(text));
      assert.deepEqual(opened.encode(text, { special: true }), withSpecial[i], JSON.stringify(text));
      assert.equal(opened.decode(ids[i] ?? []), decoded[i]);
    }
  });
}

let made = 0;
function write(files: Readonly<Record<string, string>>): string {
  const directory = join(folder, String(made++));
  mkdirSync(directory);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
  return directory;
}

type Expected = z.infer<typeof directorySchema>;

function agrees({ files, ids, withSpecial, special, vocabulary }: Expected): void {
  const tokenizer = readTokenizer(write(files));
  assert.equal(tokenizer.vocabulary, vocabulary);
  assert.deepEqual({ ...tokenizer.special }, special);
  // What is written is whole: it can be read again without the vocabulary files.
  for (const opened of [tokenizer, openTokenizer(tokenizer.files, "tokenizer.json")]) {
    for (const [i, text] of texts.entries()) {
      assert.deepEqual(opened.encode(text), ids[i], JSON.stringify(text));
      assert.deepEqual(opened.encode(text, { special: true }), withSpecial[i], JSON.stringify(text));
    }
  }
}

for (const [name, expected] of Object.entries(directories)) {
  test(`a directory without tokenizer.json (${expected.type}, ${name}) gives the ids of AutoTokenizer`, () => {
    agrees(expected);
  });
}

const skip = withoutModules("transformers");

const inPython = (script: string, args: readonly string[], input: string): unknown => {
  const env = { ...process.env, HF_HUB_OFFLINE: "1" };
  const options = { input, encoding: "utf8", maxBuffer: 1 << 28, env } as const;
  const result = spawnSync(python, [path(script), ...args], options);
  assert.equal(result.status, 0, result.stderr);
  return JSON.parse(result.stdout);
};

test("the AutoTokenizer installed here gives these ids for directories without tokenizer.json", {
  skip,
}, () => {
  const args = ["--live", join(folder, "live")];
  const live = directoriesSchema.parse(inPython("../../python/tokenizer_kinds.py", args, json));
  for (const [name, { ids, withSpecial, special }] of Object.entries(directories)) {
    assert.deepEqual(live[name]?.ids, ids, name);
    assert.deepEqual(live[name]?.withSpecial, withSpecial, name);
    assert.deepEqual(live[name]?.special, special, name);
  }
});

test("AutoTokenizer reads what is made of a directory without tokenizer.json, with the same ids", {
  skip,
}, () => {
  const request = Object.values(directories).map(({ files, type }) => {
    const written = Object.entries(readTokenizer(write(files)).files).map(([file, bytes]) => [
      file,
      new TextDecoder().decode(bytes),
    ]);
    const config = JSON.stringify({ model_type: type, vocab_size: 1000 });
    return { directory: write({ ...Object.fromEntries(written), "config.json": config }), texts };
  });
  const answers = z
    .array(z.object({ ids }))
    .parse(inPython("../../python/tokenizer.py", [], JSON.stringify(request)));
  for (const [i, { ids }] of Object.values(directories).entries()) assert.deepEqual(answers[i]?.ids, ids);
});

test("vocabulary files that are damaged, or of another kind, are refused by name", () => {
  const [bert, gpt2] = [
    directories["vocab.txt alone"]?.files,
    directories["vocab.json and merges.txt"]?.files,
  ];
  const refuse = (files: Readonly<Record<string, string>>, message: RegExp) =>
    assert.throws(() => readTokenizer(write(files)), { name: "InvalidInput", message });
  refuse({ ...bert, "tokenizer_config.json": "{" }, /tokenizer_config\.json is not JSON/);
  refuse({ ...bert, "added_tokens.json": '{"new": 7}' }, /"new" must have the id \d+, got 7/);
  const config = JSON.stringify({ tokenizer_class: "BertJapaneseTokenizer" });
  refuse({ ...bert, "tokenizer_config.json": config }, /BertJapaneseTokenizer needs more than vocab\.txt/);
  refuse({ ...gpt2, "merges.txt": "a b c\n" }, /merges\.txt: rule 1 must be two tokens, got "a b c"/);
  refuse({ ...gpt2, "vocab.json": '{"a": "b"}' }, /vocab\.json must give every token an id, got a,b/);
  refuse({ "vocab.json": "{}" }, /must name a tokenizer\.json or a directory with one/);
});

test("kinds whose ids would be wrong are refused with the reason", () => {
  const refuse = (name: string, changes: Record<string, unknown>, message: RegExp) => {
    const tokenizer = kinds[name]?.tokenizer ?? {};
    const model = { ...(tokenizer.model as object), ...(changes.model as object | undefined) };
    assert.throws(() => open({ ...tokenizer, ...changes, model }), { name: "InvalidInput", message });
  };
  refuse(
    "nfkc",
    { model: { byte_fallback: true } },
    /model\.byte_fallback must be false for Unigram, got true/,
  );
  refuse("llama", { model: { dropout: 0.1 } }, /model\.dropout must be null, got 0\.1/);
  refuse("llama", { model: { unk_token: null, byte_fallback: false } }, /model\.vocab must have all bytes/);
  const split = { type: "Split", pattern: { String: "▁" }, behavior: "MergedWithNext", invert: false };
  refuse("llama", { pre_tokenizer: split }, /behavior must be Isolated or Removed, got MergedWithNext/);
  const alone = [{ id: 0, content: "<pad>", single_word: true }];
  refuse("nfkc", { added_tokens: alone }, /added_tokens must not have single_word, got it for <pad>/);
  const table = { type: "Precompiled", precompiled_charsmap: "AAAA" };
  assert.throws(() => open({ ...kinds.nfkc?.tokenizer, normalizer: table }), {
    name: "CorruptData",
    message: /precompiled_charsmap is damaged/,
  });
});
