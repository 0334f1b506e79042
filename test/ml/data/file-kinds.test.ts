import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { fileOf, folderOf, read, refuse, uint32 } from "./files.ts";

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
