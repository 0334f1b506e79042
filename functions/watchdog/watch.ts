import { randomUUID } from "node:crypto";
import pLimit from "p-limit";
import { attemptStatusOf, ORPHAN_MS } from "../../cloud/attempt-status.ts";
import { closeAttempt, closeJob } from "../../cloud/close.ts";
import type { Cloud } from "../../cloud/connect.ts";
import type { Stated } from "../../cloud/jobs.ts";
import { log, withLogFields } from "../../cloud/log.ts";
import type { Listed } from "../../cloud/store.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { attemptOfMarker, keys } from "../../protocol/keys.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { type AgeOf, ageByS3 } from "./ages.ts";
import { describeWorkers, reasonOfNoWorkers } from "./workers.ts";

const MINUTE_MS = 60_000;
/** Attempts that are checked side by side: there may be hundreds, and the function has a minute for all of them. */
const CONCURRENT_CHECKS = 10;

export type Watching = {
  /** How long a step may make no progress before its missing tasks are sent again. */
  readonly redispatchSeconds: number;
  /** @default `ageByS3` */
  readonly ageOf?: AgeOf;
};

/**
 * Checks every job that has not ended or is not closed. Redispatches the missing tasks of one that makes no progress
 * while none of its tasks is waiting or leased. Fails one without progress for `stallMinutes`, or whose workers on AWS
 * Batch have all ended. Closes one that has ended.
 *
 * @throws AggregateError when some jobs could not be checked; the others were
 */
export async function watch(cloud: Cloud, watching: Watching): Promise<void> {
  const errors: unknown[] = [];
  const check = async (marker: Listed) => {
    const marked = attemptOfMarker(marker.key);
    if (marked === null) return log.warn("not the marker of an attempt", { key: marker.key });
    await withLogFields(marked, async () => {
      try {
        await watchAttempt(cloud, { ...marked, marker }, watching);
      } catch (error) {
        log.error("not watched", { error });
        errors.push(error);
      }
    });
  };
  await pLimit(CONCURRENT_CHECKS).map(await cloud.store.list(keys.actives), check);
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} jobs could not be checked`);
}

type Marked = Pick<State, "job" | "attempt"> & { readonly marker: Listed };

async function watchAttempt(cloud: Cloud, marked: Marked, watching: Watching): Promise<void> {
  const { ageOf = ageByS3 } = watching;
  const stated = await cloud.jobs.findState(marked.job);
  const status = attemptStatusOf(marked.attempt, stated?.state ?? null);
  if (!stated || status === "ahead") {
    if (ageOf(marked.marker) > ORPHAN_MS) await closeAttempt(cloud, marked, "it never began");
  } else if (status === "superseded") {
    await closeAttempt(cloud, marked, `attempt ${stated.state.attempt} superseded it`);
  } else if (status === "ended") {
    await closeJob(cloud, stated.state);
  } else {
    const silentMs = ageOf({ ...stated, key: keys.state(marked.job) });
    await watchJob(cloud, stated, silentMs, watching.redispatchSeconds);
  }
}

/** @param silentMs the time without progress that counts against the job */
async function watchJob(
  cloud: Cloud,
  stated: Stated,
  silentMs: number,
  redispatchSeconds: number,
): Promise<void> {
  const { state } = stated;
  const { job, attempt } = state;
  const { spec } = await cloud.jobs.record(job);
  // Sending tasks again does no harm, so for that the time asleep counts too.
  const unchangedMs = Math.max(silentMs, stated.ageMs);
  if (unchangedMs < redispatchSeconds * 1000) return;
  const url = await cloud.queues.findTasks(job, attempt);
  const depth = url === null ? { waiting: 0, inFlight: 0 } : await cloud.queues.depth(url);
  const lost = cloud.batch && (await reasonOfNoWorkers(cloud.batch, state, silentMs, depth.waiting));
  if (lost) {
    await failIfUnchanged(cloud, stated, lost);
  } else if (silentMs > spec.stallMinutes * MINUTE_MS) {
    await failIfUnchanged(cloud, stated, await stallReason(cloud, state, spec.stallMinutes, depth));
  } else if (depth.waiting + depth.inFlight === 0) {
    log.info("redispatch", { version: state.version, silentSeconds: Math.round(unchangedMs / 1000) });
    await wakeCoordinator(cloud, job, `redispatch-${state.version}-${randomUUID()}`, true);
  }
}

/** Fails a job unless its state changed since it was read. */
async function failIfUnchanged(cloud: Cloud, stated: Stated, reason: string): Promise<void> {
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
  log.error("job failed", { reason });
  await closeJob(cloud, after);
}

type Depth = { readonly waiting: number; readonly inFlight: number };

/** The reason of a job that made no progress for too long. */
async function stallReason({ batch }: Cloud, state: State, minutes: number, depth: Depth): Promise<string> {
  const { version, status } = state;
  const where = version === null ? "the initial parameters were not written" : `no version after ${version}`;
  const tasks = `${depth.waiting} tasks wait and ${depth.inFlight} are with a worker`;
  const workers = batch ? `; ${await describeWorkers(batch, state)}` : "";
  return `${where} for ${minutes} minutes (${status}; ${tasks}${workers}); read the workers' logs, then resume`;
}
