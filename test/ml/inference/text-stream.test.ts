import assert from "node:assert/strict";
import { test } from "node:test";
import { TextStream } from "../../../ml/inference/text-stream.ts";

/** A tokenizer whose tokens are the bytes of UTF-8. */
const decode = (bytes: readonly number[]) => Buffer.from(bytes).toString();

function streamed(text: string, stops: readonly string[] = []): { fragments: string[]; stopped: boolean } {
  const stream = new TextStream(decode, stops, [...Buffer.from("before é")]);
  const fragments: string[] = [];
  for (const byte of Buffer.from(text)) {
    if (stream.stopped) break;
    fragments.push(stream.push(byte));
  }
  fragments.push(stream.end());
  return { fragments, stopped: stream.stopped };
}

test("a character comes when its last token has come, never in halves", () => {
  const text = "a é 世 🙂 z";
  const { fragments } = streamed(text);
  assert.equal(fragments.join(""), text);
  assert.ok(fragments.every((fragment) => !fragment.includes("\uFFFD")));
  assert.deepEqual(fragments.slice(0, 4), ["a", " ", "", "é"]);
});

test("half a character at the end is shown as such, and bytes that are no text do not stop what follows", () => {
  const stream = new TextStream(decode);
  assert.equal(stream.push(0xc3), "");
  assert.equal(stream.end(), "\uFFFD");
  const damaged = new TextStream(decode);
  const text =
    [0xff, 0xff, 0xff, 0xff, 0xff, 0x61].map((byte) => damaged.push(byte)).join("") + damaged.end();
  assert.equal(text, `${"\uFFFD".repeat(5)}a`);
});

test("a text ends before a stop string that several tokens make up", () => {
  assert.deepEqual(streamed("one\n\ntwo", ["\n\n"]), {
    fragments: ["o", "n", "e", "", "", ""],
    stopped: true,
  });
  assert.equal(streamed("one\ntwo", ["\n\n"]).fragments.join(""), "one\ntwo");
  assert.equal(streamed("aab", ["aac", "ab"]).fragments.join(""), "a");
  assert.equal(streamed("aaab", ["aab"]).fragments.join(""), "a");
  assert.equal(streamed("no stop é", ["é!", ""]).fragments.join(""), "no stop é");
  assert.equal(streamed("ends with a part", ["part of it"]).fragments.join(""), "ends with a part");
});

test("a fragment of several characters is cut at the first stop string in it", () => {
  const stream = new TextStream(
    (ids) => ids.map((id) => (id === 0 ? "x." : "User: hi")).join(""),
    ["hi", "User"],
  );
  assert.equal(stream.push(0), "x.");
  assert.equal(stream.push(1), "");
  assert.equal(stream.stopped, true);
});
