import { describe } from "../../protocol/errors.ts";
import { findLeftovers } from "../leftovers/find.ts";
import type { Leftover } from "../leftovers/leftover.ts";
import { temporaryFolders } from "../leftovers/temporary.ts";
import { commandFor, type TargetAddress } from "../targets/address.ts";
import type { Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";

/** `ps-submit cleanup`: shows what crashes left behind and no job needs any more; removes it with `--yes`. */
export async function cleanup(
  target: Target,
  { yes = false }: { readonly yes?: boolean | undefined },
): Promise<number> {
  const { where } = target.address;
  const temporary = temporaryFolders();
  const opened = target.hasJobs() ? await target.open() : null;
  try {
    const ofJobs = opened && (await findLeftovers(opened, (problem) => print([`note      ${problem}`])));
    const leftovers = [...temporary, ...(ofJobs ?? [])];
    if (leftovers.length === 0) {
      print([`nothing is left over ${where}`]);
      return exitCodes.succeeded;
    }
    return yes ? await removeAll(leftovers) : show(leftovers, target.address);
  } finally {
    opened?.close();
  }
}

function show(leftovers: readonly Leftover[], address: TargetAddress): number {
  print(leftovers.flatMap((leftover) => linesOf(leftover.remove ? "left over" : "note", leftover)));
  const removable = leftovers.filter(({ remove }) => remove !== null);
  const things = removable.reduce((sum, { parts }) => sum + parts.length, 0);
  print([
    things === 0
      ? `nothing else is left over ${address.where}`
      : `nothing was removed; remove ${things === 1 ? "it" : `these ${count(things)}`} with: ${commandFor(address, "cleanup --yes")}`,
  ]);
  return exitCodes.succeeded;
}

/** Removes what it can: a failure does not stop the rest. Returns the exit code. */
async function removeAll(leftovers: readonly Leftover[]): Promise<number> {
  let code: number = exitCodes.succeeded;
  for (const leftover of leftovers) {
    if (leftover.remove === null) {
      print(linesOf("note", leftover));
      continue;
    }
    try {
      const isGone = await leftover.remove();
      print(isGone ? linesOf("removed", leftover) : linesOf("kept", { ...leftover, why: CHANGED }));
    } catch (error) {
      code = exitCodes.environment;
      print(linesOf("failed", { ...leftover, why: describe(error) }));
    }
  }
  return code;
}

const CHANGED = "it is gone, or in use, by now";

const linesOf = (mark: string, { parts, why }: Pick<Leftover, "parts" | "why">): string[] =>
  parts.map((part) => `${mark.padEnd(9)} ${part}: ${why}`);
