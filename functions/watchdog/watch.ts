import type { Cloud } from "../../cloud/connect.ts";
import { log } from "../../cloud/log.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { closeAttempt, closeJob } from "../coordinator/close.ts";
import { wakeCoordinator } from "../coordinator/wake.ts";

/** A marker that is ahead of its job is left by a submission that died halfway; it is put away after this long. */
const ORPHAN_MS = 3_600_000;
const MINUTE_MS = 60_000;

/**
 * Looks at every job that has not ended. One that makes no progress while none of its tasks is waiting or leased
 * gets the missing ones handed out again; one without progress for `stallMinutes` fails; one that has ended and was
 * not put away is.
 *
 * @param redoSeconds how long a step may be silent before its tasks are looked for
 */
export async function watch(cloud: Cloud, redoSeconds: number, now = Date.now()): Promise<void> {
  for (const { key, modified } of await cloud.store.list(keys.actives)) {
    const [, job = "", number = ""] = key.split("/");
    const attempt = Number(number);
    const found = await cloud.jobs.findState(job);
    const known = found?.state.attempt ?? 0;
    if (!found || known < attempt) {
      // Someone is submitting or resuming this job, and will say so in its state, or died before that.
      if (now - modified.getTime() > ORPHAN_MS) await closeAttempt(cloud, { job, attempt });
    } else if (known > attempt) {
      await closeAttempt(cloud, { job, attempt });
    } else if (isEnded(found.state)) {
      await closeJob(cloud, found.state);
    } else {
      await watchJob(cloud, found.state, redoSeconds, now);
    }
  }
}

async function watchJob(cloud: Cloud, state: State, redoSeconds: number, now: number): Promise<void> {
  const { job, attempt } = state;
  const { spec } = await cloud.jobs.record(job);
  const silent = now - Date.parse(state.updatedAt);
  if (silent < redoSeconds * 1000) return;
  const url = await cloud.queues.findTasks(job, attempt);
  const { waiting, inFlight } = url === null ? { waiting: 0, inFlight: 0 } : await cloud.queues.depth(url);
  if (silent > spec.stallMinutes * MINUTE_MS) {
    await closeJob(
      cloud,
      await cloud.jobs.end(job, "failed", stalled(state, spec.stallMinutes, waiting, inFlight)),
    );
  } else if (waiting + inFlight === 0) {
    log("redo", { job, version: state.version, silentSeconds: Math.round(silent / 1000) });
    await wakeCoordinator(cloud, job, `redo-${state.version}-${now}`, true);
  }
}

function stalled({ version, status }: State, minutes: number, waiting: number, inFlight: number): string {
  const where = version === null ? "the initial parameters were not written" : `no version after ${version}`;
  const tasks = `${waiting} tasks wait and ${inFlight} are with a worker`;
  return `${where} for ${minutes} minutes (${status}; ${tasks}); look at the workers' logs, then resume`;
}
