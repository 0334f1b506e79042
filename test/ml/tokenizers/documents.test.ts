import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import { TextCutter } from "../../../ml/data/text-cut.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import type { Tokenizer } from "../../../ml/tokenizers/tokenizer.ts";
import { sha256 } from "../../../protocol/digest.ts";
import { tokensOf } from "../../support/models.ts";
import { python, withoutModules } from "../../support/python.ts";

/** The ids of Hugging Face's `tokenizers`; made by test/python/document_cases.py. */
const file = z.record(z.string(), z.unknown());
const casesSchema = z.object({
  long: z.record(
    z.string(),
    z.object({
      tokenizer: file,
      document: z.enum(["shakespeare", "digits"]),
      tokens: z.number(),
      sha256: z.string(),
    }),
  ),
  short: z.record(z.string(), z.object({ tokenizer: file, text: z.string(), ids: z.array(z.number()) })),
});
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(path(name), "utf8"));
const cases = casesSchema.parse(read("./document-cases.json"));
const kindsSchema = z.object({ kinds: z.record(z.string(), z.object({ tokenizer: file })) });
const referenceSchema = z.object({ cases: z.record(z.string(), z.object({ tokenizer: file })) });

const folder = mkdtempSync(join(tmpdir(), "ps-documents-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const open = (tokenizer: unknown): Tokenizer =>
  openTokenizer({ "tokenizer.json": new TextEncoder().encode(JSON.stringify(tokenizer)) }, "tokenizer.json");

/** The same digits as document_cases.py makes. */
function digits(count: number): string {
  let state = 1n;
  return Array.from({ length: count }, () => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n;
    return String((state / 65536n) % 10n);
  }).join("");
}

const documents = {
  shakespeare: readFileSync(path("../../../examples/data/tinyshakespeare.txt"), "utf8"),
  digits: digits(700_000),
};

for (const [name, { tokenizer, document, tokens, sha256: digest }] of Object.entries(cases.long)) {
  test(`a document longer than a chunk has the ids of the whole: ${name}`, async () => {
    const [text, json] = [join(folder, `${document}.txt`), join(folder, "tokenizer.json")];
    writeFileSync(text, documents[document]);
    writeFileSync(json, JSON.stringify(tokenizer));
    const cache = join(folder, "cache");
    const dataset = await prepareText({ path: text, tokenizer: { file: json }, cache, threads: 0 });
    const ids = tokensOf(dataset).slice(0, tokens);
    assert.equal(dataset.meta.tokens, tokens + (dataset.special.eos === null ? 0 : 1));
    assert.equal(sha256(new Uint8Array(Uint16Array.from(ids).buffer)), digest);
  });
}

for (const [name, { tokenizer, text, ids }] of Object.entries(cases.short)) {
  test(`added tokens are found as Hugging Face tokenizers find them: ${name}`, () => {
    assert.deepEqual(open(tokenizer).encode(text), ids);
  });
}

test("a document that must be seen whole is refused when it is too long, with what to do", async () => {
  const [text, json] = [join(folder, "long.txt"), join(folder, "tokenizer.json")];
  writeFileSync(text, "word ".repeat(1 << 20));
  writeFileSync(json, JSON.stringify(cases.long["a mark before the text"]?.tokenizer));
  await assert.rejects(
    prepareText({ path: text, tokenizer: { file: json }, cache: join(folder, "cache"), threads: 0 }),
    {
      name: "InvalidInput",
      message:
        /long\.txt: from byte 0 on there are more than 4194304 bytes .*smaller files, or a \.jsonl file/,
    },
  );
});

/** Every kind of tokenizer that the other tests have, and those of the cases. */
const kinds: Readonly<Record<string, unknown>> = Object.fromEntries(
  [
    ...Object.entries(kindsSchema.parse(read("./tokenizer-kinds.json")).kinds),
    ...Object.entries(referenceSchema.parse(read("./tokenizers-reference.json")).cases),
    ...Object.entries(cases.long),
    ...Object.entries(cases.short),
  ].map(([name, { tokenizer }]) => [name, tokenizer]),
);

/** Random numbers below a bound, the same in every run. */
function randomBelow(seed: number): (bound: number) => number {
  let state = BigInt(seed);
  return (bound) => {
    state = (state * 6364136223846793005n + 1442695040888963407n) % 2n ** 64n;
    return Number((state >> 33n) % BigInt(bound));
  };
}

const FRAGMENTS = [
  ..."aeTB 19\n\n\n  \t.,'-/é世ſΣ\u0301\u00a0\u3000\r▁",
  ...[
    " the",
    " word",
    "Speak",
    "\r\n",
    "it's ",
    "12345",
    "\ufeff",
    "🙂",
    "\u2028",
    "ﬁ",
    "\n\n",
    "...",
    "!\n/x",
  ],
  ...["<x>y", "y<z", "ab c", "b", "<|endoftext|>", "[MASK]", "<mask>", "<s>", "</s>", "<unk>", "[CLS]", "▁"],
];

function randomDocument(below: (bound: number) => number): string {
  const length = 1 + below(60);
  return Array.from({ length }, () => FRAGMENTS[below(FRAGMENTS.length)]).join("");
}

/** Cuts a document wherever the rule allows it near random limits. */
function cutUp(document: string, { cuts }: Tokenizer, below: (bound: number) => number): string[] {
  const cutter = new TextCutter(cuts);
  const parts: string[] = [];
  let rest = Buffer.from(document);
  for (let tries = 0; tries < 8; tries++) {
    const cut = cutter.find(rest, 1 + below(40));
    if (cut <= 0 || cut >= rest.length) continue;
    parts.push(rest.subarray(0, cut).toString());
    rest = rest.subarray(cut);
  }
  return [...parts, rest.toString()];
}

const DOCUMENTS = 150;
const randomDocuments = (seed: number): string[] => {
  const below = randomBelow(seed);
  return Array.from({ length: DOCUMENTS }, () => randomDocument(below));
};

test("random documents cut where it is allowed have the ids of the whole, with every kind of tokenizer", () => {
  let cut = 0;
  for (const [i, [name, file]] of Object.entries(kinds).entries()) {
    const tokenizer = open(file);
    const below = randomBelow(1000 + i);
    for (const document of randomDocuments(i)) {
      const parts = cutUp(document, tokenizer, below);
      if (parts.length > 1) cut++;
      const ids = parts.flatMap((part) => tokenizer.encode(part));
      assert.deepEqual(ids, tokenizer.encode(document), `${name}: ${JSON.stringify(parts)}`);
    }
  }
  assert.ok(cut > 500, `${cut} documents were cut`);
});

const skip = withoutModules("tokenizers");

test("random documents have the ids of Python's tokenizers, with every kind of tokenizer", { skip }, () => {
  const requests = Object.values(kinds).map((tokenizer, i) => ({ tokenizer, texts: randomDocuments(i) }));
  const result = spawnSync(python, [path("../../python/encode.py")], {
    input: JSON.stringify(requests),
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  assert.equal(result.status, 0, result.stderr);
  const answers = z.array(z.array(z.array(z.number()))).parse(JSON.parse(result.stdout));
  for (const [i, name] of Object.keys(kinds).entries()) {
    const tokenizer = open(requests[i]?.tokenizer);
    for (const [n, text] of (requests[i]?.texts ?? []).entries()) {
      assert.deepEqual(tokenizer.encode(text), answers[i]?.[n], `${name}: ${JSON.stringify(text)}`);
    }
  }
});
