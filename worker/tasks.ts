import type { Cloud } from "../cloud/connect.ts";
import { log } from "../cloud/log.ts";
import { requireVersion } from "../cloud/versions.ts";
import { wakeCoordinator } from "../cloud/wake.ts";
import type { Dataset } from "../ml/data/dataset.ts";
import type { ModuleProcess } from "../ml/models/module-process.ts";
import { sizesOf } from "../ml/models/user-model.ts";
import type { Backend } from "../ml/tensorflow/backend.ts";
import { TryAgain } from "../protocol/errors.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import type { Task } from "../protocol/messages.ts";
import type { Evaluation, JobRecord } from "../protocol/records.ts";
import { required } from "../protocol/required.ts";
import { pullFrozen } from "./frozen.ts";
import { initialize } from "./init.ts";
import { moduleTrainer } from "./module-trainer.ts";
import { pull } from "./pull.ts";
import { type GradientTask, push } from "./push.ts";
import { createTrainer, type Trainer } from "./trainer.ts";

type EvaluateTask = Extract<Task, { kind: "evaluate" }>;

export type TasksOptions = {
  /** The worker's name, for metrics. */
  readonly name: string;
  readonly cloud: Cloud;
  readonly record: JobRecord;
  readonly dataset: Dataset | null;
  /** Null for a job of its own module, whose process loads one. */
  readonly backend: Backend | null;
  /** The process of the job's own module; null when it has none. */
  readonly module?: ModuleProcess | null;
};

/** The model as this worker holds it from task to task, once the job has a layout. */
type Replica = { readonly layout: Layout; readonly trainer: Trainer; readonly theta: Float32Array };

/** Performs a worker's tasks. When `perform` returns, the task's effect is in S3 or in `updates`. */
export class Tasks {
  readonly #options: TasksOptions;
  #replica: Replica | null = null;
  /** Of the last gradient: a report is made before its own push. */
  #pushMs = 0;

  constructor(options: TasksOptions) {
    this.#options = options;
  }

  async perform(task: Task): Promise<void> {
    switch (task.kind) {
      case "init":
        return this.#initialize(task.dispatch);
      case "gradient":
        return this.#gradient(task);
      case "evaluate":
        return this.#evaluate(task);
    }
  }

  async #initialize(dispatch: string): Promise<void> {
    const { cloud, record, dataset, module = null } = this.#options;
    const { model } = record.spec;
    const own = module && model.type === "module" ? await module.describe(sizesOf(model, dataset)) : null;
    await initialize(cloud, record, dataset, own);
    await wakeCoordinator(cloud, record.spec.name, `init-${dispatch}`);
  }

  async #gradient(task: GradientTask): Promise<void> {
    const { cloud, name: worker } = this.#options;
    const { layout, trainer, theta } = await this.#openReplica();
    const lap = stopwatch();

    if (!(await this.#pull(task.step, theta))) return;
    const pullMs = lap();
    const { loss, tokens, gradient } = await trainer.gradient(theta, task.step, task.rank);
    const computeMs = lap();
    const report = { loss, tokens, pullMs, computeMs, pushMs: this.#pushMs, worker };
    await push(cloud, { task, layout, gradient, report });
    this.#pushMs = lap();

    log.debug("gradient pushed", { loss, tokens, pullMs, computeMs, pushMs: this.#pushMs });
  }

  async #evaluate({ job, version, dispatch }: EvaluateTask): Promise<void> {
    const { cloud, name: worker } = this.#options;
    const { trainer, theta } = await this.#openReplica();

    if (!(await this.#pull(version, theta))) return;
    const evaluation: Evaluation = { version, worker, ...(await trainer.evaluate(theta)) };
    await cloud.store.create(keys.evaluation(job, version), encodeJson(evaluation));
    await wakeCoordinator(cloud, job, `evaluation-${version}-${dispatch}`);

    log.debug("evaluation stored", { version, loss: evaluation.loss });
  }

  /** @returns false when the task is a late duplicate: its version was no longer needed, and removed */
  async #pull(version: number, theta: Float32Array): Promise<boolean> {
    const { cloud, record } = this.#options;
    const { name: job } = record.spec;
    const { layout } = await this.#openReplica();
    if (await pull(cloud, { job, version, layout, theta })) return true;
    const isReached = await requireVersion(cloud, job, version);
    const { state } = await cloud.jobs.state(job);
    if (!isReached || state.version === null || state.version <= version) {
      throw new TryAgain(`version ${version} of ${job} is not there`);
    }
    log.debug("late duplicate", { version, now: state.version });
    return false;
  }

  async #openReplica(): Promise<Replica> {
    if (this.#replica) return this.#replica;
    const { cloud, record } = this.#options;
    const { spec } = record;
    const layout = await cloud.jobs.layout(spec.name);
    if (!layout) throw new TryAgain(`${keys.layout(spec.name)} is not there`);
    const frozen = await pullFrozen(cloud, spec.name, layout);
    const trainer = await this.#openTrainer(layout, frozen);
    this.#replica = { layout, trainer, theta: new Float32Array(layout.parameters) };
    return this.#replica;
  }

  async #openTrainer(layout: Layout, frozen: Float32Array | null): Promise<Trainer> {
    const { record, dataset, backend, module = null } = this.#options;
    const { spec, provenance } = record;
    if (module) return moduleTrainer(module, { spec, layout, dataset, frozen, backend: provenance });
    return createTrainer({ backend: required(backend, "a backend"), spec, layout, dataset, frozen });
  }
}

/** Returns a function that gives the milliseconds since its last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const elapsed = performance.now() - last;
    last += elapsed;
    return elapsed;
  };
}
