import { exitCodes } from "../terminal/exit.ts";
import { print } from "../terminal/print.ts";
import { styleFor } from "../terminal/style.ts";

/** The result of one check of `ps-submit doctor`. `bad` keeps jobs from running; `poor` does not. */
export type Finding = {
  readonly grade: "good" | "poor" | "bad";
  readonly what: string;
  readonly found: string;
  readonly fix?: string | undefined;
};

type Found = Finding | readonly Finding[];

/** Makes checks one after the other and prints the result of each. Returns the exit code. */
export async function examine(
  checks: readonly (() => Found | Promise<Found>)[],
  where: string,
): Promise<number> {
  const style = styleFor(process.stdout);
  const marks = { good: style("green", "ok  "), poor: style("yellow", "note"), bad: style("red", "bad ") };
  let worst = false;
  for (const check of checks) {
    for (const { grade, what, found, fix } of [await check()].flat()) {
      print([
        `${marks[grade]}  ${what.padEnd(12)}  ${found}`,
        ...(fix ? [`                    to fix it: ${fix}`] : []),
      ]);
      worst ||= grade === "bad";
    }
  }
  print([worst ? `jobs cannot run ${where} until what is marked bad is fixed` : `jobs can run ${where}`]);
  return worst ? exitCodes.failed : exitCodes.succeeded;
}
