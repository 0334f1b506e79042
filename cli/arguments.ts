import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { JOB_NAME, JOB_NAME_RULE } from "../protocol/job-name.ts";
import type { Target } from "./targets/target.ts";

/** Parsers of arguments and options. They refuse a wrong value before any work begins. */

/** Runs a verb of a command on the target that the command's options name. */
export type Run = (command: Command, verb: (target: Target) => Promise<number>) => Promise<void>;

/** The argument that names a job. */
export const jobArgument = (): Argument =>
  new Argument("<job>").argParser((text) => {
    if (JOB_NAME.test(text)) return text;
    throw new InvalidArgumentError(`It ${JOB_NAME_RULE}.`);
  });

/** Gathers the values of an option that may be repeated. */
export const collect = (value: string, values: readonly string[] = []): string[] => [...values, value];

export const workersOption = (): Option =>
  new Option("--workers <n>", "worker processes; never changes the result").argParser(wholeNumber(1));

export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  npx ps-submit ${line}\n`).join("")}`;

export function wholeNumber(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
  };
}

export function tokenBits(text: string): 16 | 32 {
  if (text === "16") return 16;
  if (text === "32") return 32;
  throw new InvalidArgumentError("It must be 16 or 32.");
}

export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("It must be a number of at least 0.");
}

export function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be a number above 0 and at most 1.");
}
