import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const page = "docs/environment.md";
const NAME = /\bPS_[A-Z][A-Z_]*[A-Z]\b/g;

/** The files in which a variable has each name, with files that Git does not know yet. */
function variablesInSource(): Map<string, string[]> {
  const list = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    encoding: "utf8",
  });
  const files = list.split("\n").filter((file) => /(\.(m?ts|mjs|sh|json)|Dockerfile)$/.test(file));
  const found = new Map<string, string[]>();
  for (const file of files) {
    for (const name of new Set(readFileSync(file, "utf8").match(NAME))) {
      found.set(name, [...(found.get(name) ?? []), file]);
    }
  }
  return found;
}

/** The names of a section's tables. */
function variablesOf(section: string): string[] {
  const text =
    readFileSync(page, "utf8")
      .split(/^## /m)
      .find((part) => part.startsWith(section)) ?? "";
  return [...text.matchAll(/^\| `(PS_\w+)` \|/gm)].flatMap(([, name]) => name ?? []);
}

const SECTIONS = ["For users", "Between processes", "For tests and benches"];

test("docs/environment.md has every PS_* variable of the source, once, and no other", () => {
  const described = SECTIONS.flatMap(variablesOf);
  assert.deepEqual(described, [...new Set(described)]);
  const source = variablesInSource();
  const missing = [...source].filter(([name]) => !described.includes(name));
  assert.deepEqual(missing, [], "describe these variables in docs/environment.md");
  const obsolete = described.filter((name) => !source.has(name));
  assert.deepEqual(obsolete, [], "no source has these variables");
});

test("only what tests and benches alone use is in their section", () => {
  const isForTests = (file: string) => /^(test|bench)\/|^package\.json$/.test(file);
  const source = variablesInSource();
  const onlyTests = [...source].filter(([, files]) => files.every(isForTests)).map(([name]) => name);
  assert.deepEqual(variablesOf("For tests and benches").sort(), onlyTests.sort());
});
