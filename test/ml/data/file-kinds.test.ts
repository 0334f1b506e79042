import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { decompressHadoopLz4, decompressLz4 } from "../../../ml/data/lz4.ts";
import type { PrepareOptions } from "../../../ml/data/prepare-options.ts";
import { prepareText } from "../../../ml/data/prepare-text.ts";
import type { Sources } from "../../../ml/data/source-file.ts";
import { openTokenizer } from "../../../ml/tokenizers/open-tokenizer.ts";
import { tokensOf } from "../../support/models.ts";

const root = mkdtempSync(join(tmpdir(), "ps-kinds-"));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

/** Files in a folder of their own; returns its path. */
function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = join(root, String(folders++));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

const fileOf = (name: string, content: string | Uint8Array): string =>
  join(folderOf({ [name]: content }), name);

type Options = Partial<PrepareOptions>;
const prepare = (path: string, options: Options = {}) =>
  prepareText({ path, tokenizer: "byte", cache: join(root, "cache"), ...options });

/** The documents of a path, and the names that were left out. */
async function read(path: string, options: Options = {}) {
  let sources: Sources | undefined;
  const dataset = await prepare(path, {
    ...options,
    onSources: (found) => {
      sources = found;
    },
  });
  const text = openTokenizer(dataset.files, "tokenizer.json").decode(tokensOf(dataset));
  const leftOut = sources?.leftOut.map(({ name }) => name.slice(path.length + 1)).sort();
  return { documents: text.split("<|endoftext|>").slice(0, -1), leftOut, meta: dataset.meta };
}

const refuse = (path: string, message: RegExp, options: Options = {}) =>
  assert.rejects(prepare(path, options), { name: "InvalidInput", message });

const uint16 = (ids: readonly number[]) => new Uint8Array(Uint16Array.from(ids).buffer);
const uint32 = (ids: readonly number[]) => new Uint8Array(Uint32Array.from(ids).buffer);
const some = (below: number) => Array.from({ length: 2000 }, (_, i) => (i * 7919 + 13) % below);

test("numbers have the width that the vocabulary needs, or that the job says", async () => {
  const ids = some(128_256);
  const wide = fileOf("x.bin", uint32(ids));
  const none = { tokenizer: "char", vocabulary: 128_256 } as const;
  assert.deepEqual(tokensOf(await prepare(wide, none)), ids);
  const narrow = some(50_257);
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint16(narrow)), { ...none, bits: 16 })), narrow);
  const small = { tokenizer: "char", vocabulary: 50_257 } as const;
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint32(narrow)), { ...small, bits: 32 })), narrow);
});

test("numbers that look like letters are numbers", async () => {
  const letters = some(64).map((id) => id + 1);
  const none = { tokenizer: "char", vocabulary: 65 } as const;
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint16(letters)), none)), letters);
  assert.deepEqual(tokensOf(await prepare(fileOf("x.bin", uint32(letters)), { ...none, bits: 32 })), letters);
  await refuse(fileOf("x.bin", uint32(letters)), /looks like 32-bit numbers/, none);
});

test("numbers that can be seen to be of another width are refused with what they look like", async () => {
  const small = { tokenizer: "char", vocabulary: 50_257 } as const;
  const large = { tokenizer: "char", vocabulary: 128_256 } as const;
  const ids = some(50_257);
  const int64 = new Uint8Array(BigInt64Array.from(ids.map(BigInt)).buffer);
  await refuse(
    fileOf("x.bin", uint32(ids)),
    /looks like 32-bit numbers.*every 2nd number is 0; say "bits": 32/,
    small,
  );
  await refuse(fileOf("x.bin", uint32(some(128_256))), /looks like 32-bit numbers.*"bits": 32/, small);
  await refuse(fileOf("x.bin", int64), /looks like 64-bit numbers.*3 of 4 numbers are 0.*astype/, small);
  await refuse(fileOf("x.bin", int64), /looks like 64-bit numbers.*every 2nd number is 0.*astype/, large);
  await refuse(
    fileOf("x.bin", uint16(ids)),
    /must be below the vocabulary.*looks like 16-bit.*"bits": 16/,
    large,
  );
  await refuse(fileOf("x.bin", uint32(ids).reverse()), /looks like big-endian 32-bit numbers/, small);
  await refuse(fileOf("x.bin", uint16(some(60)).reverse()), /looks like big-endian 16-bit/, {
    ...small,
    vocabulary: 60,
  });
  await refuse(fileOf("x.bin", Uint8Array.from(some(65))), /looks like 8-bit numbers/, {
    ...small,
    vocabulary: 65,
  });
  await refuse(fileOf("x.bin", new Uint8Array(6)), /must hold 32-bit numbers, got 6 bytes/, {
    ...small,
    bits: 32,
  });
  await refuse(
    fileOf("x.bin", "To be, or not to be. ".repeat(10)),
    /is text, and \.bin is for tokens/,
    small,
  );
});

test("the header of llm.c says width and length", async () => {
  const header = (magic: number, tokens: number) => uint32([magic, 1, tokens, ...new Array(253).fill(0)]);
  const of = (...parts: Uint8Array[]) => fileOf("fineweb_train.bin", Buffer.concat(parts));
  const [small, large] = [some(50_257), some(128_256)];
  const none = { tokenizer: "char", vocabulary: 50_257 } as const;
  assert.deepEqual(tokensOf(await prepare(of(header(20240520, 2000), uint16(small)), none)), small);
  const llama = of(header(20240801, 2000), uint32(large));
  assert.deepEqual(tokensOf(await prepare(llama, { ...none, vocabulary: 128_256 })), large);
  await refuse(
    of(header(20240520, 1999), uint16(small)),
    /must be 5022 bytes, as its header promises 1999 tokens/,
    none,
  );
});

test("val.bin beside train.bin is held out, and what is no .bin beside them is left out", async () => {
  const folder = folderOf({
    "train.bin": uint16(some(100)),
    "val.bin": uint16([1, 2, 3]),
    "meta.pkl": Uint8Array.of(0x80),
    "input.txt": "hi\n",
  });
  let left: readonly string[] = [];
  const { meta, tokens } = await prepare(folder, {
    tokenizer: "char",
    vocabulary: 100,
    onSources: ({ leftOut }) => {
      left = leftOut.map(({ name }) => name.slice(folder.length + 1));
    },
  });
  assert.equal(meta.heldOut, 3);
  assert.deepEqual([meta.tokens, tokensOf({ tokens } as never).slice(-3)], [2003, [1, 2, 3]]);
  assert.deepEqual([...left].sort(), ["input.txt", "meta.pkl"]);
});

test("documents for validation are held out, those for tests are left out, beside those to train on", async () => {
  const line = (text: string) => `{"text":"${text}"}\n`;
  const folder = folderOf({
    "data/test-00000.jsonl": line("t"),
    "data/train-00000.jsonl": line("a"),
    "data/validation-00000.jsonl": line("v"),
  });
  const { documents, leftOut, meta } = await read(folder);
  assert.deepEqual([documents, leftOut, meta.heldOut], [["a", "v"], ["data/test-00000.jsonl"], 2]);
  // Without a part to train on, the names say nothing.
  const plain = await read(folderOf({ "test.txt": "a", "eval.txt": "b" }));
  assert.deepEqual([plain.documents, plain.meta.heldOut], [["b", "a"], undefined]);
});

test("links are followed once; a broken one and a circle are errors that name it", async () => {
  const real = folderOf({ "a.txt": "one" });
  const folder = folderOf({ "b.txt": "two" });
  symlinkSync(real, join(folder, "sub"));
  symlinkSync("sub", join(folder, "sub2"));
  symlinkSync("b.txt", join(folder, "c.txt"));
  const { documents, leftOut } = await read(folder);
  assert.deepEqual(
    [documents, leftOut],
    [
      ["two", "one"],
      ["c.txt", "sub2"],
    ],
  );
  symlinkSync("/nowhere/at/all", join(folder, "gone.txt"));
  await refuse(folder, /gone\.txt is a link to \/nowhere\/at\/all, which does not exist/);
  await refuse(join(folder, "*.txt"), /gone\.txt is a link to/);
  await refuse(join(folder, "gone.txt"), /gone\.txt is a link to/);
  symlinkSync(real, join(real, "round"));
  await refuse(real, /round is a link to .*, which it is in: a circle/);
});

test("JSON is read as documents whatever the file is called", async () => {
  const two = ["a, [b]", 'c "d" é'];
  const objects = two.map((text) => ({ id: { text: "no" }, text }));
  const lines = objects.map((object) => JSON.stringify(object)).join("\n");
  for (const name of ["x.jsonl", "x.json", "x.txt", "x"]) {
    assert.deepEqual((await read(fileOf(name, lines))).documents, two, name);
    assert.deepEqual((await read(fileOf(name, `\uFEFF${lines}`))).documents, two, `${name} with a mark`);
    assert.deepEqual((await read(fileOf(name, JSON.stringify(objects, null, 2)))).documents, two, name);
  }
  assert.deepEqual((await read(fileOf("x.json", JSON.stringify(two)))).documents, two);
  assert.deepEqual(
    (await read(fileOf("x.json", objects.map((o) => JSON.stringify(o, null, 1)).join("\n")))).documents,
    two,
  );
  assert.deepEqual(
    (await read(fileOf("x.json", JSON.stringify({ data: { text: "in" } })), { field: "data.text" }))
      .documents,
    ["in"],
  );
});

test("an array of many chunks is read whole", async () => {
  const texts = Array.from({ length: 5000 }, (_, i) => `${i}: "quoted", \\ [${"x".repeat(i % 300)}]\n`);
  const path = fileOf(
    "x.json",
    JSON.stringify(
      texts.map((text) => ({ text })),
      null,
      "\t",
    ),
  );
  assert.deepEqual((await read(path)).documents, texts);
  await refuse(
    fileOf("y.json", `${JSON.stringify(texts)}`.slice(0, -9)),
    /ends in the middle of value 5000; it was cut short/,
  );
});

test("JSON that is no documents is refused with the place", async () => {
  await refuse(
    fileOf("x.json", '[{"text":"a"},{"body":"b"}]'),
    /value 2 must have a text in "text", got nothing; it has body/,
  );
  await refuse(
    fileOf("x.json", '{"version":1}'),
    /value 1 must have a text in "text", got nothing; it has version/,
  );
  await refuse(fileOf("x.json", '[{"text":"a"},]'), /value 2 has a comma too many/);
  await refuse(fileOf("x.json", '[{"text":"a"}] x'), /has more after its array/);
  await refuse(fileOf("x.json", '[{"text":"a"}{"text":"b"}]'), /value 1 is not JSON/);
  await refuse(fileOf("x.json", "hello"), /must hold an array or objects of JSON; name it \.txt/);
  await refuse(fileOf("x.txt", '{"body":"a"}\n{"body":"b"}\n'), /line 1 must have a text in "text"/);
});

test("a text that only begins like JSON is a text", async () => {
  for (const text of [
    "[Verse 1]\n{refrain}\n",
    "{\n  not json\n}\n",
    '["a list"] of things\n',
    "[1] A footnote.\n",
  ]) {
    assert.deepEqual((await read(fileOf("x.txt", text))).documents, [text]);
  }
});

test("NaN and Infinity as Python writes them are read; a byte order mark is skipped", async () => {
  const lines = '\uFEFF{"text":"NaN, Infinity","score":NaN}\n{"text":"b","score":[-Infinity,Infinity]}\n';
  assert.deepEqual((await read(fileOf("x.jsonl", lines))).documents, ["NaN, Infinity", "b"]);
  await refuse(fileOf("x.jsonl", '{"text":NaN}\n'), /line 1 must have a text in "text", got null/);
});

test("of a snapshot from a hub only the data is read", async () => {
  const folder = folderOf({
    "README.md": "# A card\n",
    LICENSE: "Do as you like.\n",
    "dataset_infos.json": '{"a":1}\n',
    "loader.py": "print(1)\n",
    "picture.png": Uint8Array.of(0x89, 0x50, 0x4e, 0x47),
    ".gitattributes": "x\n",
    "data/train.jsonl": '{"text":"doc one"}\n',
    "data/empty.jsonl": "",
  });
  const { documents, leftOut } = await read(folder);
  assert.deepEqual(documents, ["doc one"]);
  assert.deepEqual(leftOut, [
    ".gitattributes",
    "LICENSE",
    "README.md",
    "data/empty.jsonl",
    "dataset_infos.json",
    "loader.py",
    "picture.png",
  ]);
  const card = "---\nlicense: mit\nlanguage:\n- en\n---\n# Stories\n";
  const texts = await read(folderOf({ "README.md": card, "train.txt": "a story" }));
  assert.deepEqual([texts.documents, texts.leftOut], [["a story"], ["README.md"]]);
  // What is named itself is read.
  assert.deepEqual((await read(join(folder, "README.md"))).documents, ["# A card\n"]);
});

test("a file that is not what it seems is named for what it is, with what to do", async () => {
  const text = "hello world, this is a text\n";
  const cases: readonly [string, string | Uint8Array, RegExp][] = [
    [
      "x.txt",
      Buffer.from(`\uFEFF${text}`, "utf16le"),
      /x\.txt is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8/,
    ],
    ["x.txt", Buffer.from(text, "utf16le"), /is UTF-16LE text; convert it: iconv -f UTF-16LE/],
    ["x.txt", Buffer.from(text, "utf16le").swap16(), /is UTF-16BE text; convert it: iconv -f UTF-16BE/],
    ["x.txt", Buffer.from("Привет, мир\n".repeat(9), "utf16le"), /is UTF-16LE text/],
    ["x.txt", Buffer.from(uint32([...text].map((c) => c.charCodeAt(0)))), /is UTF-32LE text/],
    ["x.jsonl", Buffer.from('\uFEFF{"text":"a"}', "utf16le"), /is UTF-16 text/],
    ["x.txt.gz", gzipSync(text), /is compressed with gzip; unpack it: gunzip -k .*x\.txt\.gz$/],
    ["x.jsonl", gzipSync(text), /is compressed with gzip; unpack it: gunzip -d -c < .*x\.jsonl > /],
    ["x.jsonl.zst", zstdCompressSync(text), /is compressed with zstd; unpack it: zstd -d -k /],
    ["x.zip", Buffer.from("PK\u0003\u0004 and so on"), /is a zip archive; unpack it: unzip /],
    ["x.bin", Buffer.from("PK\u0003\u0004 and so on"), /is a zip archive/],
    [
      "x.parquet",
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
      /is a Git LFS pointer.*git lfs pull/,
    ],
    ["x.jsonl", "<!DOCTYPE html>\n<html><body>403</body></html>", /is an HTML page; a failed download/],
    ["x.npy", Buffer.from("\x93NUMPY\x01\x00 and so on", "latin1"), /is a NumPy array; write its numbers/],
    ["x.pdf", "%PDF-1.7\n", /is a PDF; give a text/],
    ["x.txt", Buffer.from("caf\xe9 au lait", "latin1"), /not UTF-8 text \(near byte [34]\); .*WINDOWS-1252/],
    ["x.txt", Buffer.from([0x61, 0xff, 0, 0xfe, 0]), /not UTF-8 text .*it holds binary data/],
  ];
  for (const [name, content, message] of cases) {
    await refuse(fileOf(name, content), message, { vocabulary: 50_257 });
    await refuse(fileOf(name, content), /^data\.path x /, { vocabulary: 50_257, name: "data.path x" });
    if (name !== "x.pdf") await refuse(folderOf({ [name]: content, "a.txt": "a" }), /.*/);
  }
  const page = "<html>a page to train on</html>";
  assert.deepEqual((await read(fileOf("x.html", page))).documents, [page]);
});

const parquet = (name: string) => fileURLToPath(new URL(`./parquet/${name}.parquet`, import.meta.url));

test("the texts of parquet may be fields of a column; one in a list is named", async () => {
  const documents = ["first document\n", "zweites Dokument: äöü 世界 🙂", "last, and a repeat. ".repeat(20)];
  assert.deepEqual((await read(parquet("nested"), { field: "meta.a.b.text" })).documents, documents);
  await refuse(
    parquet("nested"),
    /no column "text", but "meta\.a\.b\.text"; data\.field must be one of meta\.a\.b\.text, meta\.n/,
  );
  await refuse(parquet("nested"), /no column "content": it is in the list "turns"/, { field: "content" });
  await refuse(parquet("nested"), /"turns\.list\.element\.content" is in the list "turns"/, {
    field: "turns.list.element.content",
  });
  await refuse(parquet("nested"), /"meta" is no text but a group of fields; .* meta\.a\.b\.text, meta\.n/, {
    field: "meta",
  });
});

test("a row of parquet that is not UTF-8 is refused, and no byte is lost", async () => {
  assert.deepEqual((await read(parquet("binary"), { field: "good" })).documents, ["\uFEFFbom", "ok", "also"]);
  for (const name of ["binary", "not-utf8"]) {
    await refuse(parquet(name), /row 2 must have UTF-8 text in "text", its 4 bytes are not/);
  }
});

test("an LZ4 block is unpacked, plain and by Hadoop's rule, and a damaged one refused", () => {
  const text = Buffer.from(`${"to be or not to be, that is; ".repeat(12)}end of it.`);
  // By pyarrow: pa.Codec("lz4_raw").compress(text)
  const block = Buffer.from(
    "d1746f206265206f72206e6f74200d00a22c20746861742069733b10000f1d00ff28a0656e64206f662069742e",
    "hex",
  );
  assert.deepEqual(Buffer.from(decompressLz4(block, text.length)), text);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(text.length);
  lengths.writeUInt32BE(block.length, 4);
  const twice = Buffer.concat([lengths, block, lengths, block]);
  assert.deepEqual(Buffer.from(decompressHadoopLz4(twice, 2 * text.length)), Buffer.concat([text, text]));
  assert.deepEqual(Buffer.from(decompressHadoopLz4(block, text.length)), text);
  for (let at = 0; at < block.length; at++) {
    assert.throws(() => decompressLz4(block.subarray(0, at), text.length), { name: "CorruptData" });
  }
  assert.throws(() => decompressLz4(Buffer.from("10610500", "hex"), 9), { name: "CorruptData" });
});
