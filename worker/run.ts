import { setTimeout as sleep } from "node:timers/promises";
import { type Cloud, connect } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { isAway } from "../cloud/service-errors.ts";
import { reasonOf } from "../cloud/versions.ts";
import { loadBackend } from "../ml/tensorflow/load.ts";
import { awakeNow } from "../protocol/awake-time.ts";
import { type Environment, numberVariable, variable } from "../protocol/environment.ts";
import { isPermanent, Unrecoverable } from "../protocol/errors.ts";
import { isEnded, type JobRecord } from "../protocol/records.ts";
import { workerExit } from "../protocol/worker-exit.ts";
import { cacheDirectory } from "../scripts/cache-directory.mjs";
import { fetchDataset } from "./dataset.ts";
import { Leases, type OnLease } from "./lease.ts";
import { type Loop, MAX_OUTAGE_MS, reportFailure, work } from "./loop.ts";
import { Tasks } from "./tasks.ts";
import { openModule } from "./user-module.ts";
import { workerName } from "./worker-name.ts";

const QUEUE_POLL_MS = 500;
const RETRY_MS = 2_000;

/**
 * Works for the job that `env` names until there is nothing more to do, or `signal` says stop. An error that would keep
 * every worker from starting (a damaged dataset, the wrong device) ends the job with the reason.
 *
 * @param onLease is called with each lease that it takes, and with null at its end
 * @returns the process's exit status
 * @throws an error that is not the job's: an endpoint that stays away, a cache that cannot be written
 */
export async function runWorker(env: Environment, onLease: OnLease, signal: AbortSignal): Promise<number> {
  const job = variable(env, "PS_JOB");
  const cloud = connect(env);
  const idleMs = numberVariable(env, "PS_IDLE_SECONDS", 600) * 1000;
  let attempt: number | null = null;
  try {
    const queue = await retryWhileAway(() => findQueue(cloud, job, idleMs), signal);
    if (queue === null) {
      log.info("nothing to do");
      return workerExit.done;
    }
    attempt = queue.attempt;
    const start = () => prepare({ cloud, job, idleMs, ...queue }, env, onLease);
    const loop = await retryWhileAway(start, signal);
    if (loop !== null) await work(loop, signal);
    return workerExit.done;
  } catch (error) {
    if (!isPermanent(error)) throw error;
    log.error("worker refuses", { error });
    // Without an attempt there is no job that could be ended.
    if (attempt !== null) await reportFailure({ cloud, job, attempt }, await reasonOf(cloud, error));
    return workerExit.refused;
  }
}

type TaskQueue = { readonly url: string; readonly attempt: number };
type Assignment = Pick<Loop, "cloud" | "job" | "idleMs"> & TaskQueue;

/** Fetches and loads all that the job's tasks need. */
async function prepare(assignment: Assignment, env: Environment, onLease: OnLease): Promise<Loop> {
  const { cloud, job, url } = assignment;
  const name = workerName(env);
  const record = await cloud.jobs.record(job);
  const { backend: wanted, device } = record.provenance;
  requireDevice(record, env.PS_DEVICE);
  const isModule = record.spec.model.type === "module";
  const [backend, dataset] = await Promise.all([
    isModule ? null : loadBackend(wanted, { device }),
    record.dataset === null ? null : fetchDataset(cloud, record.dataset, cacheDirectory(env)),
  ]);
  const access = { dataset: dataset?.directory ?? null, native: wanted === "tensorflow" };
  const module = await openModule(cloud.store, record.spec, access);
  log.info("worker started", { backend: backend?.name ?? wanted, version: backend?.version, device });
  const leases = await Leases.open(cloud.queues, url, onLease);
  const tasks = new Tasks({ name, cloud, record, dataset, backend, module });
  return { ...assignment, leases, tasks };
}

/** A job for a CPU must not run at a GPU's price, nor one for a GPU where there is none. */
function requireDevice({ provenance, spec }: JobRecord, offered: string | undefined): void {
  const { device } = provenance;
  if (offered === undefined || offered === "" || offered === device) return;
  throw new Unrecoverable(
    `${spec.name} was submitted for device "${device}", and its worker's device (PS_DEVICE) is "${offered}"; ` +
      `run it on workers for "${device}", or submit it under another name with --set device=${offered}`,
  );
}

/**
 * Waits for the job's task queue while the job has not ended. Returns null when it has, or when nobody runs it.
 *
 * @throws InvalidInput when there is no such job
 */
async function findQueue({ jobs, queues }: Cloud, job: string, idleMs: number): Promise<TaskQueue | null> {
  for (const start = awakeNow(); awakeNow() - start < idleMs; await sleep(QUEUE_POLL_MS)) {
    const stated = await jobs.findState(job);
    if (!stated) {
      // A job that is being submitted has a record and no state yet.
      await jobs.record(job);
      continue;
    }
    if (isEnded(stated.state)) return null;
    const { attempt } = stated.state;
    const url = await queues.findTasks(job, attempt);
    if (url !== null) return { url, attempt };
  }
  return null;
}

/** Tries again while S3 or SQS do not answer, as long as a worker at work would. Returns null when `signal` says stop. */
async function retryWhileAway<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  for (const start = awakeNow(); ; await sleep(RETRY_MS)) {
    if (signal.aborted) return null;
    try {
      return await attempt();
    } catch (error) {
      if (!isAway(error) || awakeNow() - start > MAX_OUTAGE_MS) throw error;
      log.warn("no answer at the start", { error });
    }
  }
}
