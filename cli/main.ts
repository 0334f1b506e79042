import { CommanderError } from "commander";
import { describe, InvalidInput } from "../protocol/errors.ts";
import { findNodeProblem } from "./doctor/node-version.ts";
import { defineProgram, refuseMistyped } from "./program.ts";
import { packageVersion } from "./submission/provenance.ts";
import { codeOfError, exitCodes } from "./terminal/exit.ts";
import { ignoreSignalsIgnoredAtStart } from "./terminal/ignored-signals.ts";

/** Runs the command that `args` name. Returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  let code: number = exitCodes.succeeded;
  const program = defineProgram(packageVersion(), args, (result) => {
    code = result;
  });
  for (const command of [program, ...program.commands]) command.exitOverride();
  try {
    refuseMistyped(args[0], program);
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.succeeded : exitCodes.usage;
    report(error);
    return codeOfError(error);
  }
}

function report(error: unknown): void {
  const problems = error instanceof InvalidInput ? error.problems : [describe(error)];
  for (const problem of problems) process.stderr.write(`error: ${problem}\n`);
  if (process.env.PS_DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}

/** A reader that has seen enough, such as `head`, closes the pipe: no reason to complain, or to end a job. */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    });
  }
}

/** Refuses an old Node in words: the commands would not even load. */
function refuseOldNode(): void {
  const problem = findNodeProblem();
  if (problem === null) return;
  process.stderr.write(`error: ${problem}\n`);
  process.exit(exitCodes.environment);
}

refuseOldNode();
ignoreSignalsIgnoredAtStart();
outliveReaders();
process.exit(await main(process.argv.slice(2)));
