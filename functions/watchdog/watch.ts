import { attemptStatusOf, ORPHAN_MS } from "../../cloud/attempt-status.ts";
import { closeAttempt, closeJob } from "../../cloud/close.ts";
import type { Cloud } from "../../cloud/connect.ts";
import type { Stated } from "../../cloud/jobs.ts";
import { log } from "../../cloud/log.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { whyNoWorker, workersInWords } from "./workers.ts";

const MINUTE_MS = 60_000;
/** Attempts that are looked at side by side: there may be hundreds, and the function has a minute for all of them. */
const AT_ONCE = 10;

/**
 * Checks every job that has not ended or is not closed. Redispatches the missing tasks of one that makes no progress
 * while none of its tasks is waiting or leased. Fails one without progress for `stallMinutes`, or whose workers on AWS
 * Batch have all ended. Closes one that has ended.
 *
 * @param redispatchSeconds how long a step may make no progress before its missing tasks are sent again
 * @throws AggregateError when some jobs could not be looked at; the others were
 */
export async function watch(cloud: Cloud, redispatchSeconds: number, now = Date.now()): Promise<void> {
  const errors: unknown[] = [];
  // One iterator for all: each takes the next marker when it is done with its last.
  const markers = (await cloud.store.list(keys.actives)).values();
  const watchSome = async () => {
    for (const { key, modified } of markers) {
      const [, job = "", number = ""] = key.split("/");
      try {
        await watchAttempt(cloud, { job, attempt: Number(number), modified }, redispatchSeconds, now);
      } catch (error) {
        log.error("not watched", { job, error });
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, watchSome));
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} jobs could not be looked at`);
}

type Marked = Pick<State, "job" | "attempt"> & { readonly modified: Date };

async function watchAttempt(
  cloud: Cloud,
  marked: Marked,
  redispatchSeconds: number,
  now: number,
): Promise<void> {
  const found = await cloud.jobs.findState(marked.job);
  const status = attemptStatusOf(marked.attempt, found?.state ?? null);
  if (!found || status === "ahead") {
    if (now - marked.modified.getTime() > ORPHAN_MS) await closeAttempt(cloud, marked, "it never began");
  } else if (status === "superseded") {
    await closeAttempt(cloud, marked, `attempt ${found.state.attempt} superseded it`);
  } else if (status === "ended") {
    await closeJob(cloud, found.state);
  } else {
    await watchJob(cloud, found, redispatchSeconds, now);
  }
}

async function watchJob(cloud: Cloud, stated: Stated, redispatchSeconds: number, now: number): Promise<void> {
  const { state } = stated;
  const { job, attempt } = state;
  const { spec } = await cloud.jobs.record(job);
  const silent = now - Date.parse(state.updatedAt);
  if (silent < redispatchSeconds * 1000) return;
  const url = await cloud.queues.findTasks(job, attempt);
  const depth = url === null ? { waiting: 0, inFlight: 0 } : await cloud.queues.depth(url);
  const lost = cloud.batch && (await whyNoWorker(cloud.batch, state, silent, depth.waiting));
  if (lost) {
    await fail(cloud, stated, lost);
  } else if (silent > spec.stallMinutes * MINUTE_MS) {
    await fail(cloud, stated, await stalled(cloud, state, spec.stallMinutes, depth));
  } else if (depth.waiting + depth.inFlight === 0) {
    log.info("redispatch", { job, version: state.version, silentSeconds: Math.round(silent / 1000) });
    await wakeCoordinator(cloud, job, `redispatch-${state.version}-${now}`, true);
  }
}

/** Ends a job unless something happened to it since it was looked at. */
async function fail(cloud: Cloud, stated: Stated, reason: string): Promise<void> {
  const { job, updatedAt } = stated.state;
  const after = await cloud.jobs.change(
    job,
    (state) =>
      isEnded(state) || state.updatedAt !== updatedAt
        ? null
        : { ...state, status: "failed", reason, endedAt: new Date().toISOString() },
    stated,
  );
  if (!isEnded(after)) return;
  log.error("job failed", { job, reason });
  await closeJob(cloud, after);
}

type Depth = { readonly waiting: number; readonly inFlight: number };

async function stalled({ batch }: Cloud, state: State, minutes: number, depth: Depth): Promise<string> {
  const { version, status } = state;
  const where = version === null ? "the initial parameters were not written" : `no version after ${version}`;
  const tasks = `${depth.waiting} tasks wait and ${depth.inFlight} are with a worker`;
  const workers = batch ? `; ${await workersInWords(batch, state)}` : "";
  return `${where} for ${minutes} minutes (${status}; ${tasks}${workers}); look at the workers' logs, then resume`;
}
