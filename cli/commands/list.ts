import { CorruptData } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded } from "../../protocol/records.ts";
import { at } from "../../protocol/required.ts";
import type { OpenTarget, Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count, loss } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";

/** `ps-submit list`: prints every job of the target. */
export async function list(target: Target): Promise<number> {
  const { where } = target.address;
  if (!target.hasJobs()) {
    print([`no jobs ${where}`]);
    return exitCodes.succeeded;
  }
  const opened = await target.open();
  try {
    const folders = await opened.cloud.store.listFolders(keys.jobs);
    const names = folders.map((folder) => folder.slice(keys.jobs.length, -1));
    const running = await opened.running();
    const damages: string[] = [];
    const rows = await Promise.all(
      names.map((name) =>
        rowOf(opened, running, name).catch((error: unknown) => damaged(name, error, damages)),
      ),
    );
    print(
      rows.length === 0
        ? [`no jobs ${where}`]
        : table([["JOB", "STATUS", "STEP", "LOSS", "UPDATED"], ...rows]),
    );
    print(damages.map((damage) => `note: ${damage}`));
    return exitCodes.succeeded;
  } finally {
    opened.close();
  }
}

async function rowOf({ cloud }: OpenTarget, running: ReadonlySet<string>, job: string): Promise<string[]> {
  const found = await cloud.jobs.findState(job);
  if (!found) return [job, running.has(job) ? "submitting" : "half-submitted", "-", "-", "-"];
  const { state } = found;
  const status = isEnded(state) || running.has(job) ? state.status : "interrupted";
  const step = `${count(state.version ?? 0)}/${count(state.steps)}`;
  return [job, status, step, loss(state.loss), state.updatedAt.slice(0, 19).replace("T", " ")];
}

/** Returns the row of a job whose state cannot be read: it must not hide the others. */
function damaged(job: string, error: unknown, damages: string[]): string[] {
  if (!(error instanceof CorruptData)) throw error;
  damages.push(error.message);
  return [job, "damaged", "-", "-", "-"];
}

/** Returns lines with columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, i) => Math.max(widest[i] ?? 0, cell.length)),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(at(widths, i, "the width of a column")))
      .join("  ")
      .trimEnd(),
  );
}
