import assert from "node:assert/strict";
import { test } from "node:test";
import { applyOverrides } from "../../../cli/submission/overrides.ts";

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
