import assert from "node:assert/strict";
import { test } from "node:test";
import { CommanderError } from "commander";
import { jobArgument } from "../../cli/arguments.ts";
import { defineProgram } from "../../cli/program.ts";

/** Of an argument of the command line, before anything is looked for. */
const parsed = (text: string): unknown => jobArgument().parseArg?.(text, undefined);

test("a job's name is taken as it is", () => {
  for (const name of ["a", "shakespeare", "gpt2-124m-3", "a".repeat(50)]) assert.equal(parsed(name), name);
});

test("what no job is named is refused, so that no path is made of it", () => {
  for (const name of [
    "",
    ".",
    "..",
    "../../etc",
    "a/b",
    "a\\b",
    "A",
    "a b",
    "-a",
    "a-",
    "é",
    "a".repeat(51),
  ]) {
    assert.throws(() => parsed(name), /must be 1 to 50 lower-case letters, digits and dashes/, name);
  }
});

test("every verb that takes a job refuses such a name", async () => {
  const others: Record<string, readonly string[]> = { workers: ["3"], pull: ["model"] };
  for (const verb of ["status", "watch", "logs", "cancel", "workers", "resume", "pull"]) {
    const program = defineProgram("0", [], () => {});
    for (const command of [program, ...program.commands]) {
      command.exitOverride().configureOutput({ writeErr: () => {} });
    }
    const run = program.parseAsync([verb, "../x", ...(others[verb] ?? [])], { from: "user" });
    await assert.rejects(
      run,
      (error) => error instanceof CommanderError && /argument 'job'/.test(error.message),
    );
  }
});
