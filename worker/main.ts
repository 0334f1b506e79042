import "../cloud/buffers.ts";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type Cloud, connect } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { describe, InvalidInput } from "../protocol/errors.ts";
import { isEnded } from "../protocol/records.ts";
import { loadBackend } from "./backend/load.ts";
import { cacheDirectory } from "./data/cache.ts";
import { fetchDataset } from "./dataset.ts";
import { Leases } from "./lease.ts";
import { work } from "./loop.ts";
import { Tasks } from "./tasks.ts";
import { fetchModule } from "./user-module.ts";

/**
 * A worker process: one per GPU on AWS Batch, a child process on a laptop. Its environment says which job
 * (`PS_JOB`) in which cloud; it leaves with 0 when there is nothing more to do, or when it was told to stop.
 */
async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const job = env.PS_JOB ?? "";
  if (job === "") throw new InvalidInput("environment variable PS_JOB must name a job");
  const name = env.PS_WORKER ?? batchName(env) ?? `${hostname()}-${process.pid}`;
  const idleMs = Number(env.PS_IDLE_SECONDS ?? 600) * 1000;
  const cloud = connect(env);

  const record = await cloud.jobs.record(job);
  const url = await findQueue(cloud, job, idleMs);
  if (url === null) return log("nothing to do", { job, worker: name });
  const leases = await Leases.open(cloud.queues, url, env);
  const signal = stopOnSignal(leases);

  const [backend, dataset, user] = await Promise.all([
    loadBackend(record.provenance.backend),
    record.dataset === null ? null : fetchDataset(cloud, record.dataset, cacheDirectory(env)),
    fetchModule(cloud.store, record.spec),
  ]);
  const { name: library, version, device } = backend;
  log("worker started", { job, worker: name, backend: library, version, device });
  const tasks = new Tasks({ name, cloud, record, dataset, backend, user });
  await work({ cloud, job, leases, tasks, idleMs }, signal);
  log("worker done", { job, worker: name });
}

const batchName = (env: NodeJS.ProcessEnv): string | undefined =>
  env.AWS_BATCH_JOB_ID && `${env.AWS_BATCH_JOB_ID}-${env.AWS_BATCH_JOB_ARRAY_INDEX ?? 0}`;

/** The job's tasks queue, waited for while the job has not ended; null when it has. */
async function findQueue({ jobs, queues }: Cloud, job: string, idleMs: number): Promise<string | null> {
  for (const since = Date.now(); Date.now() - since < idleMs; await delay(500)) {
    const found = await jobs.findState(job);
    if (found && isEnded(found.state)) return null;
    const url = found && (await queues.findTasks(job, found.state.attempt));
    if (url) return url;
  }
  return null;
}

/** On SIGTERM (Batch, Spot, ps-submit), or when the parent that started it is gone: give the lease back, leave. */
function stopOnSignal(leases: Leases): AbortSignal {
  const controller = new AbortController();
  const stop = (why: string) => {
    if (controller.signal.aborted) return;
    controller.abort();
    log("worker stopping", { why });
    leases.giveBackHeld().then(
      () => process.exit(0),
      (error: unknown) => {
        log("lease not given back", { error: describe(error) });
        process.exit(0);
      },
    );
  };
  process.once("SIGTERM", () => stop("SIGTERM"));
  process.once("SIGINT", () => stop("SIGINT"));
  process.once("disconnect", () => stop("its parent is gone"));
  process.channel?.unref();
  return controller.signal;
}

main(process.env).then(
  () => process.exit(0),
  (error: unknown) => {
    log("worker failed", { error: describe(error) });
    process.exit(1);
  },
);
