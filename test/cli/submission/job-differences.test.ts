import assert from "node:assert/strict";
import { test } from "node:test";
import { jobDifferences } from "../../../cli/submission/job-differences.ts";
import { jobOf } from "../../support/job.ts";
import { tinyJob } from "../command.ts";

const job = (changes: object = {}) => jobOf({ name: "a", ...tinyJob, ...changes }, "job");
const dataset = "0".repeat(64);

test("the same spec has no differences, whatever its number of workers", () => {
  assert.deepEqual(jobDifferences({ spec: job(), dataset }, { spec: job({ workers: 7 }), dataset }), []);
});

test("each field that differs is named with both values", () => {
  const other = job({ seed: 2, model: { ...tinyJob.model, width: 32 } });
  assert.deepEqual(jobDifferences({ spec: job(), dataset }, { spec: other, dataset }), [
    "model.width is 16 there, 32 here",
    "seed is 1337 there, 2 here",
  ]);
});

test("a default that is written out is no difference", () => {
  assert.deepEqual(jobDifferences({ spec: job(), dataset }, { spec: job({ reduce: "mean" }), dataset }), []);
});

test("another text under the same path is a difference", () => {
  const found = jobDifferences({ spec: job(), dataset }, { spec: job(), dataset: "1".repeat(64) });
  assert.deepEqual(found, ["data: the text is not the one the job began with"]);
});
