import { describe } from "../../protocol/errors.ts";
import { findLeftovers } from "../leftovers/find.ts";
import type { Leftover } from "../leftovers/leftover.ts";
import { command, placeOf } from "../targets/address.ts";
import { hasJobs } from "../targets/embedded.ts";
import { openTarget } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { say } from "../terminal/print.ts";

/** `ps-submit cleanup`: what crashes left behind that no job needs any more; removed with `--yes`. */
export async function cleanup({ yes = false }: { readonly yes?: boolean | undefined }): Promise<number> {
  const place = placeOf();
  if (place.kind === "embedded" && !hasJobs(place.dataDir)) {
    say([`nothing is left over in ${place.dataDir}`]);
    return exitCodes.succeeded;
  }
  const target = await openTarget(place);
  try {
    const leftovers = await findLeftovers(target, (problem) => say([`note      ${problem}`]));
    if (leftovers.length === 0) {
      say([`nothing is left over ${target.where}`]);
      return exitCodes.succeeded;
    }
    return yes ? await removeAll(leftovers) : show(leftovers, target.where);
  } finally {
    target.close();
  }
}

function show(leftovers: readonly Leftover[], where: string): number {
  say(leftovers.flatMap((leftover) => linesOf(leftover.remove ? "left over" : "note", leftover)));
  const removable = leftovers.filter(({ remove }) => remove !== null);
  const things = removable.reduce((sum, { parts }) => sum + parts.length, 0);
  say([
    things === 0
      ? `nothing else is left over ${where}`
      : `nothing was removed; remove ${things === 1 ? "it" : `these ${count(things)}`} with: ${command("cleanup --yes")}`,
  ]);
  return exitCodes.succeeded;
}

/** What cannot be removed does not hold up the rest. */
async function removeAll(leftovers: readonly Leftover[]): Promise<number> {
  let code: number = exitCodes.succeeded;
  for (const leftover of leftovers) {
    if (leftover.remove === null) {
      say(linesOf("note", leftover));
      continue;
    }
    try {
      const isGone = await leftover.remove();
      say(isGone ? linesOf("removed", leftover) : linesOf("kept", { ...leftover, why: CHANGED }));
    } catch (error) {
      code = exitCodes.environment;
      say(linesOf("failed", { ...leftover, why: describe(error) }));
    }
  }
  return code;
}

const CHANGED = "it is gone, or in use, by now";

const linesOf = (mark: string, { parts, why }: Pick<Leftover, "parts" | "why">): string[] =>
  parts.map((part) => `${mark.padEnd(9)} ${part}: ${why}`);
