import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readJobFile } from "../../../cli/submission/job-file.ts";
import { jobsPage, jobsPageFile } from "../../../scripts/jobs-page.ts";
import { jobJsonSchema, schemaFile, schemaText } from "../../../scripts/schema.ts";

test("job.schema.json is what `npm run schema` writes", () => {
  assert.equal(readFileSync(schemaFile, "utf8"), schemaText());
});

test("docs/jobs.md is what `npm run schema` writes", () => {
  assert.equal(readFileSync(jobsPageFile, "utf8"), jobsPage(jobJsonSchema()));
});

test("every field of a job file has a meaning, and an example unless it is an object or fixed", () => {
  const lines = readFileSync(jobsPageFile, "utf8").split("\n");
  const rows = lines.filter((line) => /^\|( [a-z, ]+ \|)? `/.test(line) && line.split(" | ").length >= 5);
  assert.ok(rows.length > 50);
  for (const row of rows) {
    const [meaning, example] = row.slice(0, -2).split(" | ").slice(-2);
    const isFixed = row.includes("| `type` |") || /Set by ps-submit|see model|stand/.test(row);
    assert.ok(isFixed || (meaning?.trim() && example?.trim()), row);
  }
});

test("every example is a valid job whose data is there", () => {
  const examples = readdirSync("examples").filter((name) => name.endsWith(".json"));
  assert.ok(examples.length >= 2);
  for (const example of examples) {
    assert.equal(readJobFile(`examples/${example}`, []).job.name, example.replace(".json", ""));
  }
});
