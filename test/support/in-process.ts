import { join } from "node:path";
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { clientConfig, createSqs } from "../../cloud/connect.ts";
import { createHandlers } from "../../functions/handler.ts";
import { poll } from "../../local/functions/poller.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import type { Backend } from "../../ml/tensorflow/backend.ts";
import { loadBackend } from "../../ml/tensorflow/load.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { State } from "../../protocol/records.ts";
import { fetchDataset } from "../../worker/dataset.ts";
import { Leases } from "../../worker/lease.ts";
import { LeaseRenewer } from "../../worker/lease-renewer.ts";
import { work } from "../../worker/loop.ts";
import { Tasks } from "../../worker/tasks.ts";
import { openModule } from "../../worker/user-module.ts";
import { type Lab, openLab } from "./lab.ts";

export type Handler = (event: SQSEvent) => Promise<SQSBatchResponse>;

/** A lab whose functions and workers run in the test's own process: quick to start, and open to meddling. */
export type InProcess = Lab & {
  /** Runs a job to its end with two workers. */
  run(spec: JobSpec, deadlineMs?: number, dataset?: Dataset): Promise<State>;
  /** Adds a worker to a job; `signal` takes it away after the task in hand. */
  addWorker(job: string, name: string, signal?: AbortSignal): Promise<void>;
};

/** @param meddle may change how messages reach the functions */
export async function openInProcess(
  meddle: (handler: Handler) => Handler = (handler) => handler,
): Promise<InProcess> {
  const lab = await openLab();
  const handlers = createHandlers({ ...lab.target.environment, PS_REDISPATCH_SECONDS: "2" });
  const client = createSqs(clientConfig(lab.target.environment));
  const stop = new AbortController();
  const source = { client, url: lab.cloud.updates, handler: meddle(handlers.updates), visibilitySeconds: 10 };
  const polling = [poll(source, stop.signal), poll(source, stop.signal)];
  const watchdog = setInterval(() => void handlers.watchdog().catch(console.error), 500);
  const backend = await loadBackend("wasm");
  const addWorker: InProcess["addWorker"] = (job, name, signal) => runWorker(lab, backend, job, name, signal);
  return {
    ...lab,
    addWorker,
    async run(spec, deadlineMs, dataset) {
      await lab.submit(spec, dataset);
      const workers = [addWorker(spec.name, "a"), addWorker(spec.name, "b")];
      const state = await lab.ended(spec.name, deadlineMs);
      await Promise.all(workers);
      return state;
    },
    async close() {
      clearInterval(watchdog);
      stop.abort();
      await Promise.all(polling);
      client.destroy();
      handlers.cloud.close();
      await lab.close();
    },
  };
}

async function runWorker(
  { cloud, target }: Lab,
  backend: Backend,
  job: string,
  name: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const record = await cloud.jobs.record(job);
  const { state } = await cloud.jobs.state(job);
  const url = await cloud.queues.findTasks(job, state.attempt);
  if (url === null) return;
  const renewer = new LeaseRenewer(cloud.queues);
  const leases = await Leases.open(cloud.queues, url, (lease) => renewer.hold(lease));
  const cache = join(target.home, "cache");
  const dataset = record.dataset === null ? null : await fetchDataset(cloud, record.dataset, cache);
  const module = await openModule(cloud.store, record.spec, {
    dataset: dataset?.directory ?? null,
    native: false,
  });
  const tasks = new Tasks({ name, cloud, record, dataset, backend, module });
  await work({ cloud, job, attempt: state.attempt, leases, tasks, idleMs: 60_000 }, signal);
  await module?.close();
  dataset?.tokens.close();
}
