import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readJobFile } from "../../../cli/submission/job-file.ts";
import { schemaFile, schemaText } from "../../../scripts/schema.ts";

test("job.schema.json is what `npm run schema` writes", () => {
  assert.equal(readFileSync(schemaFile, "utf8"), schemaText());
});

test("every example is a valid job whose data is there", () => {
  const examples = readdirSync("examples").filter((name) => name.endsWith(".json"));
  assert.ok(examples.length >= 2);
  for (const example of examples) {
    assert.equal(readJobFile(`examples/${example}`, []).job.name, example.replace(".json", ""));
  }
});
