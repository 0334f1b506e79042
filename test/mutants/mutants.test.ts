import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { test } from "node:test";
import { mutated } from "./mutant.ts";
import { mutants } from "./mutants.ts";
import { pickAtRandom } from "./options.ts";

/** The list does not rot: `npm run mutants` applies these. */

test("every mutant has a name of its own, and test files that are there", () => {
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  for (const { name, tests } of mutants) {
    assert.ok(tests.length > 0, name);
    for (const file of tests) assert.ok(existsSync(file), `${name}: there is no ${file}`);
  }
});

for (const mutant of mutants) {
  test(`the text of mutant "${mutant.name}" is in ${mutant.file} once, and the code can still be read`, () => {
    const text = readFileSync(mutant.file, "utf8");
    const changed = mutated(mutant, text);
    assert.notEqual(changed, text);
    stripTypeScriptTypes(changed);
  });
}

test("a seed always picks the same mutants, each at most once", () => {
  const picked = pickAtRandom(mutants, 12, 7);
  assert.deepEqual(picked, pickAtRandom(mutants, 12, 7));
  assert.equal(new Set(picked).size, 12);
  assert.notDeepEqual(picked, pickAtRandom(mutants, 12, 8));
  assert.equal(pickAtRandom(mutants, mutants.length, 1).length, mutants.length);
});
