import type { Batch } from "../../cloud/batch.ts";
import { countsIn, hasEnded, type Member, type WorkerGroup } from "../../cloud/worker-groups.ts";
import type { State } from "../../protocol/records.ts";
import { workerExit } from "../../protocol/worker-exit.ts";

/** A submitter asks for workers as soon as it has opened an attempt; after this long it has died in between. */
const SUBMIT_MS = 15 * 60_000;

/**
 * The reason why no worker will finish an attempt that makes no progress, with advice; null while one may.
 *
 * @param silentMs time since the job's state changed
 * @param waiting tasks that no worker has
 */
export async function reasonOfNoWorkers(
  batch: Batch,
  { job, attempt, status }: State,
  silentMs: number,
  waiting: number,
): Promise<string | null> {
  const groups = await batch.groups(job, attempt);
  if (groups.length === 0) return silentMs > SUBMIT_MS ? "no workers were submitted; resume it" : null;
  if (!groups.every(hasEnded)) return null;
  // A finishing job may still wait for its checkpoint, which is not made by workers.
  if (status === "finishing" && waiting === 0) return null;
  const size = groups.reduce((sum, group) => sum + group.size, 0);
  const failed = await firstFailure(batch, groups);
  const ended = size === 1 ? "the only worker has ended" : `all ${size} workers have ended`;
  return failed
    ? `${ended}; ${describeFailure(failed)}`
    : `${ended} with nothing wrong; read their logs, then resume`;
}

/** The first worker that failed by itself, or else the first that was ended by others. */
async function firstFailure(batch: Batch, groups: readonly WorkerGroup[]): Promise<Member | null> {
  let ended: Member | undefined;
  for (const group of groups.filter(({ counts }) => counts.FAILED > 0)) {
    const failed = (await batch.members(group)).filter(({ status }) => status === "FAILED");
    const byItself = failed.find(({ exitCode }) => exitCode !== null && exitCode !== workerExit.stopped);
    if (byItself) return byItself;
    ended ??= failed[0];
  }
  return ended ?? null;
}

function describeFailure({ id, reason, exitCode, logStream, attempts }: Member): string {
  const tries = attempts > 1 ? ` after ${attempts} attempts` : "";
  const code = exitCode === null ? "" : `, exit code ${exitCode}`;
  const log = logStream === null ? "it never started" : `see log stream ${logStream}`;
  return `worker ${id} failed${tries}: ${reason ?? "no reason given"}${code}; ${log}, then resume`;
}

/** The number of workers of an attempt by status, such as "2 RUNNABLE, 1 RUNNING"; with the reasons that Batch gives. */
export async function describeWorkers(batch: Batch, { job, attempt }: State): Promise<string> {
  const groups = await batch.groups(job, attempt);
  const counts = Object.entries(countsIn(groups)).filter(([, count]) => count > 0);
  const parts = counts.map(([status, count]) => `${count} ${status}`);
  const reasons = new Set(groups.filter((group) => !hasEnded(group)).flatMap(({ reason }) => reason ?? []));
  return [`workers: ${parts.join(", ") || "none"}`, ...reasons].join("; ");
}
