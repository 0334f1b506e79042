import type { Cloud } from "../cloud/connect.ts";
import { wakeCoordinator } from "../cloud/wake.ts";
import type { Dataset } from "../ml/data/dataset.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import type { Backend } from "../ml/tensorflow/backend.ts";
import { TryAgain } from "../protocol/errors.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import type { Task } from "../protocol/messages.ts";
import type { Evaluation, JobRecord } from "../protocol/records.ts";
import { pullFrozen } from "./frozen.ts";
import { initialize } from "./init.ts";
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
  readonly backend: Backend;
  /** The model of the job's own module; null when it has none. */
  readonly user?: UserModel | null;
};

/** What a worker keeps from task to task, once the job has a layout. */
type Bench = { readonly layout: Layout; readonly trainer: Trainer; readonly theta: Float32Array };

/** What a worker does with a task. When `perform` returns, the task's effect is in S3 or in `updates`. */
export class Tasks {
  readonly #options: TasksOptions;
  #bench: Bench | null = null;
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
    const { cloud, record, dataset, user } = this.#options;
    await initialize(cloud, record, dataset, user);
    await wakeCoordinator(cloud, record.spec.name, `init-${dispatch}`);
  }

  async #gradient(task: GradientTask): Promise<void> {
    const { cloud, name: worker } = this.#options;
    const { layout, trainer, theta } = await this.#setUp();
    const clock = stopwatch();

    if (!(await this.#pull(task.step))) return;
    const pullMs = clock();
    const { loss, tokens, gradient } = await trainer.gradient(theta, task.step, task.rank);
    const computeMs = clock();
    const report = { loss, tokens, pullMs, computeMs, pushMs: this.#pushMs, worker };
    await push(cloud, task, layout, gradient, report);
    this.#pushMs = clock();
  }

  async #evaluate({ job, version, dispatch }: EvaluateTask): Promise<void> {
    const { cloud, name: worker } = this.#options;
    const { trainer, theta } = await this.#setUp();

    if (!(await this.#pull(version))) return;
    const evaluation: Evaluation = { version, worker, ...(await trainer.evaluate(theta)) };
    await cloud.store.create(keys.evaluation(job, version), encodeJson(evaluation));
    await wakeCoordinator(cloud, job, `evaluation-${version}-${dispatch}`);
  }

  /** @returns false when the task is a late duplicate: its version was needed no more, and removed */
  async #pull(version: number): Promise<boolean> {
    const { cloud, record } = this.#options;
    const { layout, theta } = await this.#setUp();
    if (await pull(cloud, record.spec.name, layout, version, theta)) return true;
    const { state } = await cloud.jobs.state(record.spec.name);
    if ((state.version ?? -1) > version) return false;
    throw new TryAgain(`version ${version} of ${record.spec.name} is not there`);
  }

  async #setUp(): Promise<Bench> {
    if (this.#bench) return this.#bench;
    const { cloud, record, dataset, backend, user } = this.#options;
    const layout = await cloud.jobs.layout(record.spec.name);
    if (!layout) throw new TryAgain(`${keys.layout(record.spec.name)} is not there`);
    const frozen = await pullFrozen(cloud, record.spec.name, layout);
    const trainer = createTrainer({
      backend,
      spec: record.spec,
      layout,
      dataset,
      frozen,
      user: user ?? null,
    });
    this.#bench = { layout, trainer, theta: new Float32Array(layout.parameters) };
    return this.#bench;
  }
}

/** Milliseconds since its last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const elapsed = performance.now() - last;
    last += elapsed;
    return elapsed;
  };
}
