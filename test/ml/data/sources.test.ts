import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { PrepareOptions } from "../../../ml/data/prepare-options.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { tokensOf } from "../../support/models.ts";
import { mixedText } from "./mixed-text.ts";

const folder = mkdtempSync(join(tmpdir(), "ps-sources-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const cache = join(folder, "cache");
const fixture = (name: string) => fileURLToPath(new URL(name, import.meta.url));

let files = 0;
function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, `${files++}`, name);
  mkdirSync(join(path, ".."));
  writeFileSync(path, content);
  return path;
}

const prepare = (path: string | readonly string[], options: Partial<PrepareOptions> = {}) =>
  prepareText({ path, tokenizer: "byte", cache, ...options });

/** The documents that a byte dataset holds. */
async function documentsOf(path: string | readonly string[], options: Partial<PrepareOptions> = {}) {
  const dataset = await prepare(path, options);
  const text = openTokenizer(dataset.files, "tokenizer.json").decode(tokensOf(dataset));
  assert.ok(text.endsWith("<|endoftext|>"));
  assert.equal(dataset.meta.documents ?? 1, text.split("<|endoftext|>").length - 1);
  return text.split("<|endoftext|>").slice(0, -1);
}

const line = (text: string) => JSON.stringify({ text });
const refuse = (path: string | readonly string[], message: RegExp, options: Partial<PrepareOptions> = {}) =>
  assert.rejects(prepare(path, options), { name: "InvalidInput", message });

test("a line of JSON is a document; blank lines and empty documents are none", async () => {
  const path = write(
    "a.jsonl",
    `${line("one\ntwo")}\n\n${line("")}\r\n  ${line("é")}\n{"text":"\\ud83d\\ude42"}`,
  );
  assert.deepEqual(await documentsOf(path), ["one\ntwo", "é", "🙂"]);
  const other = write("b.ndjson", '{"content":"x","text":1}\n');
  assert.deepEqual(await documentsOf(other, { field: "content" }), ["x"]);
});

test("a line that is no document is refused with its number", async () => {
  const good = `${line("good")}\n`;
  await refuse(write("a.jsonl", `${good}{"text":`), /a\.jsonl: line 2 is not JSON/);
  await refuse(write("b.jsonl", `${good}${good}[]\n`), /line 3 must have a text in "text", got nothing/);
  await refuse(write("c.jsonl", `${good}null`), /line 2 must have a text/);
  await refuse(write("d.jsonl", '{"text":7}'), /line 1 must have a text in "text", got 7/);
  await refuse(write("e.jsonl", '{"text":"\\ud800"}'), /line 1 holds half of a surrogate pair/);
  await refuse(write("f.jsonl", Buffer.from([0x22, 0xff, 0x22])), /not UTF-8/);
  const late = `${line("x".repeat(1000))}\n`.repeat(2000);
  await refuse(write("g.jsonl", `${late}oops`), /line 2001 is not JSON: oops/);
});

test("a line may be longer than a chunk, but not endless", async () => {
  const long = "long ".repeat(400_000);
  assert.deepEqual(await documentsOf(write("a.jsonl", `${line("a")}\n${line(long)}\n${line("b")}`)), [
    "a",
    long,
    "b",
  ]);
  const path = write("b.jsonl", `${line("a")}\n${"x".repeat((64 << 20) + 10)}`);
  await refuse(path, /line 2 must be at most 67108864 bytes/);
});

const PARQUET = ["first document\n", "zweites Dokument: äöü 世界 🙂", "last, and a repeat. ".repeat(20)];

test("a row of parquet is a document, whatever compresses it", async () => {
  for (const codec of ["none", "snappy", "gzip", "zstd", "brotli", "lz4", "version2"]) {
    assert.deepEqual(await documentsOf(fixture(`./parquet/${codec}.parquet`)), PARQUET, codec);
  }
});

test("a parquet file that is damaged or has other columns is refused", async () => {
  const whole = readFileSync(fixture("./parquet/snappy.parquet"));
  for (const length of [0, 3, 100, whole.length - 1]) {
    const path = write("a.parquet", whole.subarray(0, length));
    await refuse(path, length === 0 ? /is empty/ : /not a parquet file that can be read/);
  }
  for (let at = 4; at < whole.length; at += 13) {
    const damaged = Buffer.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0xff;
    const path = write("b.parquet", damaged);
    await prepare(path).catch((error) =>
      assert.equal(error.name, "InvalidInput", `byte ${at}: ${error.stack}`),
    );
  }
  await refuse(
    fixture("./parquet/none.parquet"),
    /no column "content"; data\.field must be one of id, text/,
    {
      field: "content",
    },
  );
  await refuse(fixture("./parquet/none.parquet"), /row 0 must have a text in "id", got bigint/, {
    field: "id",
  });
  await refuse(fixture("./parquet/null.parquet"), /row 1 must have a text in "text"/);
});

test("a directory is read by name and depth, a glob by name; hidden files are left out", async () => {
  const directory = join(folder, "corpus");
  mkdirSync(join(directory, "b"), { recursive: true });
  writeFileSync(join(directory, "c.txt"), "third");
  writeFileSync(join(directory, "b", "x.jsonl"), `${line("second")}\n`);
  writeFileSync(join(directory, "a.txt"), "first");
  writeFileSync(join(directory, "empty.txt"), "");
  writeFileSync(join(directory, ".hidden"), Buffer.from([0xff]));
  assert.deepEqual(await documentsOf(directory), ["first", "second", "third"]);
  assert.deepEqual(await documentsOf(join(directory, "*.txt")), ["first", "third"]);
  const two = [join(directory, "c.txt"), join(directory, "a.txt")];
  assert.deepEqual(await documentsOf(two), ["third", "first"]);
  await refuse(join(directory, "*.parquet"), /must match files that exist, it matches none/);
  mkdirSync(join(folder, "nothing"));
  await refuse(join(folder, "nothing"), /must hold files to train on, it has none/);
});

test("documents without an end-of-text token are parted by line breaks", async () => {
  const dataset = await prepare(write("a.jsonl", `${line("one\n")}\n${line("two")}`), { tokenizer: "char" });
  const text = openTokenizer(dataset.files, "tokenizer.json").decode(tokensOf(dataset));
  assert.equal(text, "one\ntwo\n");
});

const tokens = (...ids: number[]) => new Uint8Array(Uint16Array.from(ids).buffer);

test("text that is tokenized already is taken as it is, and checked", async () => {
  const path = write("train.bin", tokens(5, 0, 299, 7));
  const plain = await prepare(path, { tokenizer: "char", vocabulary: 300 });
  assert.deepEqual(tokensOf(plain), [5, 0, 299, 7]);
  assert.deepEqual(plain.meta, { kind: "text", tokenizer: "none", vocabulary: 300, tokens: 4 });
  assert.deepEqual(plain.files, {});
  const wide = await prepare([path, path], { tokenizer: "char", vocabulary: 100_000, bits: 16 });
  assert.deepEqual(tokensOf(wide), [5, 0, 299, 7, 5, 0, 299, 7]);
  assert.equal(wide.meta.type, "uint32");
  const bytes = await prepare(write("b.bin", tokens(104, 105, 256)), { tokenizer: "byte" });
  assert.equal(openTokenizer(bytes.files, "tokenizer.json").decode(tokensOf(bytes)), "hi<|endoftext|>");
  await refuse(path, /token 2 must be below the vocabulary 299, got 299/, {
    tokenizer: "char",
    vocabulary: 299,
  });
  await refuse(path, /say with what/, { tokenizer: "char" });
  await refuse(path, /must be at least the tokenizer's 257, got 256/, { tokenizer: "byte", vocabulary: 256 });
  await refuse(write("odd.bin", new Uint8Array(5)), /must hold 16-bit numbers, got 5 bytes/);
  await refuse([path, write("a.txt", "text")], /must hold \.bin files of tokens or texts, not both/);
});

test("a vocabulary above 65,536 makes tokens of 32 bits", async () => {
  const vocab = Object.fromEntries(Array.from({ length: 70_000 }, (_, id) => [`w${id}`, id]));
  const tokenizer = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Whitespace" },
    decoder: null,
    model: { type: "WordLevel", vocab, unk_token: "w0" },
  };
  const file = write("tokenizer.json", JSON.stringify(tokenizer));
  const dataset = await prepare(write("a.txt", "w1 w69999 w65536"), { tokenizer: { file } });
  assert.deepEqual(tokensOf(dataset), [1, 69_999, 65_536]);
  assert.equal(dataset.meta.type, "uint32");
});

test("the number of threads does not change the result", async () => {
  const path = write("mixed.txt", mixedText());
  for (const tokenizer of ["char", { train: { vocab: 400 } }] as const) {
    const digests = new Set<string>();
    for (const threads of [0, 2]) {
      const own = join(folder, `threads-${threads}`);
      digests.add((await prepare(path, { tokenizer, threads, cache: own })).digest);
    }
    assert.equal(digests.size, 1);
  }
});

test("a text in chunks has the tokens of the whole", async () => {
  const text = mixedText();
  const dataset = await prepare(write("a.txt", text), { tokenizer: { train: { vocab: 600 } }, threads: 0 });
  const whole = openTokenizer(dataset.files, "tokenizer.json").encode(text);
  assert.deepEqual(tokensOf(dataset), [...whole, dataset.special.eos]);
});

test("an interruption leaves nothing", async () => {
  const path = write("mixed.txt", mixedText());
  for (const [what, threads] of [
    ["reading characters", 2],
    ["tokenizing", 0],
    ["tokenizing", 2],
  ] as const) {
    const own = join(folder, `interrupted-${what}-${threads}`);
    const controller = new AbortController();
    const running = prepare(path, {
      cache: own,
      tokenizer: "char",
      threads,
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.what === what && progress.share > 0.3) controller.abort(new Error("stop"));
      },
    });
    await assert.rejects(running, { message: "stop" });
    assert.equal(existsSync(own), false);
  }
});

test("a thread that finds bad bytes ends the work with their offset", async () => {
  const bytes = Buffer.from(mixedText());
  bytes[1_000_000] = 0xff;
  await refuse(write("a.txt", bytes), /a\.txt is not UTF-8 text \(near byte (999|1000)\d{3}\)/, {
    threads: 2,
  });
  assert.deepEqual(readdirSync(join(cache, "drafts")), []);
});

test("files that did not change are not tokenized again", async () => {
  const path = fixture("./parquet/none.parquet");
  const own = join(folder, "known");
  const first = await prepare(path, { cache: own });
  let read = false;
  const onProgress = () => {
    read = true;
  };
  assert.equal((await prepare(path, { cache: own, onProgress })).digest, first.digest);
  assert.equal(read, false);
  const other = await prepare(path, { cache: own, tokenizer: "char", onProgress });
  assert.notEqual(other.digest, first.digest);
  assert.equal(read, true);
  // What is damaged in the cache is made again.
  writeFileSync(join(first.directory, "tokens.bin"), new Uint8Array(2 * first.tokens.length));
  assert.equal((await prepare(path, { cache: own })).digest, first.digest);
});

test("drafts of processes that died are removed", async () => {
  const own = join(folder, "swept");
  mkdirSync(join(own, "drafts", "999999999-dead"), { recursive: true });
  mkdirSync(join(own, "drafts", `${process.pid}-alive`));
  await prepare(write("a.txt", "abc"), { cache: own });
  assert.deepEqual(readdirSync(join(own, "drafts")), [`${process.pid}-alive`]);
});
