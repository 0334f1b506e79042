import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type Cloud, connect } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { loadBackend } from "../ml/tensorflow/load.ts";
import { describe, InvalidInput, isPermanent, Unrecoverable } from "../protocol/errors.ts";
import { isEnded, type JobRecord } from "../protocol/records.ts";
import { workerExit } from "../protocol/worker-exit.ts";
import { cacheDirectory } from "../scripts/cache-directory.mjs";
import { fetchDataset } from "./dataset.ts";
import { Leases, type OnLease } from "./lease.ts";
import { failJob, type Loop, OUTAGE_MS, work } from "./loop.ts";
import { Tasks } from "./tasks.ts";
import { fetchModule } from "./user-module.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const RETRY_MS = 2_000;

/**
 * Works for the job that `env` names until there is nothing more to do, or `signal` says stop. What would keep every
 * worker from starting (a damaged dataset, the wrong device) ends the job with the reason.
 *
 * @param onLease is called with each lease that it takes, and with null at its end
 * @returns the process's exit status
 * @throws what is no fault of the job: an endpoint that stays away, a cache that cannot be written
 */
export async function runWorker(env: Environment, onLease: OnLease, signal: AbortSignal): Promise<number> {
  const job = env.PS_JOB ?? "";
  if (job === "") throw new InvalidInput("environment variable PS_JOB must name a job");
  const cloud = connect(env);
  const idleMs = Number(env.PS_IDLE_SECONDS ?? 600) * 1000;
  let attempt: number | null = null;
  try {
    const queue = await patiently(() => findQueue(cloud, job, idleMs), signal);
    if (queue === null) {
      log.info("nothing to do", { job });
      return workerExit.done;
    }
    attempt = queue.attempt;
    const loop = await patiently(() => start({ cloud, job, idleMs, ...queue }, env, onLease), signal);
    if (loop !== null) await work(loop, signal);
    return workerExit.done;
  } catch (error) {
    if (!isPermanent(error)) throw error;
    log.error("worker refuses", { job, error });
    // Without an attempt there is no job that could be ended.
    if (attempt !== null) await failJob({ cloud, job, attempt }, describe(error));
    return workerExit.refused;
  }
}

type TaskQueue = { readonly url: string; readonly attempt: number };
type Place = Pick<Loop, "cloud" | "job" | "idleMs"> & TaskQueue;

/** Fetches and loads all that the job's tasks need. */
async function start(place: Place, env: Environment, onLease: OnLease): Promise<Loop> {
  const { cloud, job, url } = place;
  // Of a child of an array job, the id ends with its index.
  const worker = env.PS_WORKER ?? env.AWS_BATCH_JOB_ID ?? `${hostname()}-${process.pid}`;
  const record = await cloud.jobs.record(job);
  const { backend: wanted, device } = record.provenance;
  requireDevice(record, env.PS_DEVICE);
  const [backend, dataset, user] = await Promise.all([
    loadBackend(wanted, { device }),
    record.dataset === null ? null : fetchDataset(cloud, record.dataset, cacheDirectory(env)),
    fetchModule(cloud.store, record.spec),
  ]);
  log.info("worker started", { job, worker, backend: backend.name, version: backend.version, device });
  const leases = await Leases.open(cloud.queues, url, onLease);
  const tasks = new Tasks({ name: worker, cloud, record, dataset, backend, user });
  return { ...place, leases, tasks };
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
 * The job's task queue, waited for while the job has not ended; null when it has, or nobody runs it.
 *
 * @throws InvalidInput when there is no such job
 */
async function findQueue({ jobs, queues }: Cloud, job: string, idleMs: number): Promise<TaskQueue | null> {
  for (const since = Date.now(); Date.now() - since < idleMs; await delay(500)) {
    const found = await jobs.findState(job);
    if (!found) {
      await jobs.record(job);
      continue;
    }
    if (isEnded(found.state)) return null;
    const { attempt } = found.state;
    const url = await queues.findTasks(job, attempt);
    if (url !== null) return { url, attempt };
  }
  return null;
}

/** Tries again while S3 or SQS do not answer, for as long as a worker at work would. Null when told to stop. */
async function patiently<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  for (const since = Date.now(); ; await delay(RETRY_MS)) {
    if (signal.aborted) return null;
    try {
      return await attempt();
    } catch (error) {
      if (!isAway(error) || Date.now() - since > OUTAGE_MS) throw error;
      log.warn("no answer at the start", { error });
    }
  }
}

/** True for a request that got no answer, or one that says that the service is in trouble. */
function isAway(error: unknown): boolean {
  if (!(error instanceof Error) || !("$metadata" in error)) return false;
  const status = (error.$metadata as { httpStatusCode?: number } | undefined)?.httpStatusCode;
  return status === undefined || status >= 500;
}
