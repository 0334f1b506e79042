import assert from "node:assert/strict";
import { test } from "node:test";
import { withAssignments } from "../../../cli/submission/overrides.ts";
import { parseJobFile } from "../../../protocol/job.ts";
import { tinyJob } from "../command.ts";

type Json = Record<string, unknown>;
const applyOverrides = (job: Json, assignments: readonly string[]) =>
  withAssignments(job, assignments, (changed) => changed);

test("a value that is JSON is taken as JSON, any other as text", () => {
  const job = applyOverrides({}, ["steps=20", "name=a-b", "data.path=x y.txt", "optimizer.clipNorm=null"]);
  assert.deepEqual(job, { steps: 20, name: "a-b", data: { path: "x y.txt" }, optimizer: { clipNorm: null } });
});

test("an override changes its field and leaves the rest, and the file's value, as they are", () => {
  const written = { optimizer: { type: "sgd", learningRate: 1 }, steps: 1 };
  const job = applyOverrides(written, ["optimizer.learningRate=1e-3"]);
  assert.deepEqual(job, { optimizer: { type: "sgd", learningRate: 1e-3 }, steps: 1 });
  assert.equal(written.optimizer.learningRate, 1);
});

test("the last of two overrides of a field stands, and a value may have equals signs", () => {
  assert.deepEqual(applyOverrides({}, ["a=1", "a=2"]), { a: 2 });
  assert.deepEqual(applyOverrides({}, ["data.path=a=b"]), { data: { path: "a=b" } });
});

test("what is no assignment to a field is refused", () => {
  for (const wrong of ["steps", "=3", "a..b=1", "__proto__.x=1", "a b=1"]) {
    assert.throws(() => applyOverrides({}, [wrong]), /--set must be like steps=20/, wrong);
  }
});

test("a number is a text where the field takes a text", () => {
  const base = { ...tinyJob, name: "a", data: { type: "text", path: "x" } };
  const read = (...assignments: string[]) =>
    withAssignments(base, assignments, (job) => parseJobFile(job, "job.json"));
  const job = read("name=2024", "data.path=1e3", "data.field=null", "steps=7", "tokenizer.file=12");
  assert.equal(job.name, "2024");
  assert.equal(job.steps, 7);
  assert.deepEqual(job.data, { ...job.data, path: "1e3", field: "null" });
  assert.deepEqual(job.tokenizer, { file: "12" });
  assert.deepEqual(read("data=2024").data, { ...job.data, path: "2024", field: "text" });
  // What neither a number nor a text can be is reported as it was written.
  assert.throws(() => read("name=2024", "steps=true"), {
    message: "job.json: steps must be of type number, got true",
  });
});
