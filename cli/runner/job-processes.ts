import { availableParallelism } from "node:os";
import { join } from "node:path";
import { threadEnvironment } from "../../ml/tensorflow/tensorflow.ts";
import type { Environment } from "../targets/address.ts";
import { logDirectory, program } from "../targets/paths.ts";
import type { LocalTarget } from "../targets/target.ts";
import { type ProcessEvent, SupervisedProcess } from "./supervised-process.ts";

export type JobPlan = {
  readonly job: string;
  readonly attempt: number;
  readonly workers: number;
};

const WORKER_GRACE_MS = 10_000;
const FUNCTIONS_GRACE_MS = 15_000;

/** How often the watchdog runs, and how long a step may make no progress: short, as no network is in between. */
const LOCAL_WATCHDOG = { PS_WATCHDOG_SECONDS: "5", PS_REDISPATCH_SECONDS: "10" };

/** The processes of one job on this machine: its workers, and one that runs the functions. */
export class JobProcesses {
  readonly #functions: SupervisedProcess;
  readonly #startWorker: (index: number, workers: number) => SupervisedProcess;
  #workers: readonly SupervisedProcess[];
  #leaving: readonly Promise<void>[] = [];

  constructor(target: LocalTarget, plan: JobPlan, report: (event: ProcessEvent) => void) {
    const logs = logDirectory(target.home, plan.job);
    const shared = {
      ...withoutAws(target.address.environment),
      ...target.environment,
      PS_CACHE_DIR: target.address.cache,
    };
    const start = (name: string, script: string, extra: Readonly<Record<string, string>>) =>
      new SupervisedProcess(
        { name, script, environment: { ...shared, ...extra }, log: join(logs, `${name}.log`) },
        report,
      );
    this.#functions = start("functions", program("functions"), LOCAL_WATCHDOG);
    this.#startWorker = (index, workers) =>
      start(`worker-${index}`, program("worker"), workerEnvironment({ ...plan, workers }, index));
    this.#workers = Array.from({ length: plan.workers }, (_, i) => this.#startWorker(i, plan.workers));
  }

  get workers(): number {
    return this.#workers.length;
  }

  get workersAlive(): number {
    return this.#workers.filter((worker) => worker.alive).length;
  }

  /** Forgets failures whose cause was an emulator that was gone. */
  resetFailures(): void {
    for (const child of [this.#functions, ...this.#workers]) child.resetFailures();
  }

  /** Starts further workers, or lets the last ones give back their tasks and end. */
  resize(workers: number): void {
    const more = Math.max(0, workers - this.#workers.length);
    const first = this.#workers.length;
    const leaving = this.#workers.slice(workers).map((worker) => worker.stop(WORKER_GRACE_MS));
    this.#leaving = [...this.#leaving, ...leaving];
    const started = Array.from({ length: more }, (_, i) => this.#startWorker(first + i, workers));
    this.#workers = [...this.#workers.slice(0, workers), ...started];
  }

  async stopWorkers(): Promise<void> {
    await Promise.all([...this.#leaving, ...this.#workers.map((worker) => worker.stop(WORKER_GRACE_MS))]);
  }

  /** Lets the functions finish the messages that they work on. */
  async stopFunctions(): Promise<void> {
    await this.#functions.stop(FUNCTIONS_GRACE_MS);
  }

  kill(): void {
    for (const child of [this.#functions, ...this.#workers]) child.kill();
  }
}

/** Returns what AWS Batch sets for a child of an array job, and the job to work for. */
function workerEnvironment({ job, attempt, workers }: JobPlan, index: number): Record<string, string> {
  const cores = availableParallelism();
  return {
    ...threadEnvironment(Math.max(1, Math.floor(cores / workers))),
    PS_JOB: job,
    PS_WORKER: `worker-${index}`,
    AWS_BATCH_JOB_ID: `${job}-${attempt}:${index}`,
    AWS_BATCH_JOB_ARRAY_INDEX: String(index),
    AWS_BATCH_JOB_ATTEMPT: "1",
  };
}

/** A user's own AWS settings must not reach the processes of this machine: some would change how clients behave. */
function withoutAws(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("AWS_")));
}
