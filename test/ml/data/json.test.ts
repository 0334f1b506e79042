import assert from "node:assert/strict";
import { test } from "node:test";
import { fileOf, read, refuse } from "./files.ts";

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
