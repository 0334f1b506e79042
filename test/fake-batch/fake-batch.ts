import { randomBytes } from "node:crypto";
import { Container, type Exit } from "./container.ts";
import { type Definition, environmentOf, isOnHost, isOver, type Job, newJob, type Queue } from "./job.ts";
import { isRetried, type Outcome } from "./retry.ts";

export type FakeBatchOptions = {
  /** The command that a container runs, in place of an image. */
  readonly command: readonly [string, ...string[]];
  /** The environment that the image and the role would give a container. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folder for the log streams. */
  readonly logs: string;
  /** The compute environment's `maxvCpus`: jobs beyond it stay RUNNABLE. */
  readonly vcpus: number;
  /** The length of a second here, in timeouts and in the grace between SIGTERM and SIGKILL. @default 1000 */
  readonly secondMs?: number;
};

export const COMPUTE_ENVIRONMENT = "fake-compute-environment";
const TICK_MS = 10;
const TERMINATION_GRACE_SECONDS = 30;
const SPOT_NOTICE_SECONDS = 120;
const NO_CAPACITY =
  "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All compute environments have insufficient capacity to service the job.";

/** AWS Batch with one compute environment, whose containers are processes of this machine. */
export class FakeBatch {
  readonly jobs = new Map<string, Job>();
  readonly queues = new Map<string, Queue>();
  /** Revisions of each job definition, the first at index 0. */
  readonly definitions = new Map<string, Definition[]>();
  readonly options: FakeBatchOptions;
  readonly #secondMs: number;
  readonly #ticking: NodeJS.Timeout;

  constructor(options: FakeBatchOptions) {
    this.options = options;
    this.#secondMs = options.secondMs ?? 1000;
    this.#ticking = setInterval(() => this.#tick(), TICK_MS).unref();
  }

  add(job: Job): void {
    this.jobs.set(job.id, job);
  }

  /** Ends a job, or an array with all its children. One that has ended stays as it is. */
  terminate(job: Job, reason: string): void {
    if (isOver(job)) return;
    job.stop = { kind: "terminated", reason };
    for (const child of job.children) this.terminate(child, reason);
    if (job.container) job.container.stop(TERMINATION_GRACE_SECONDS * this.#secondMs);
    else if (job.children.length === 0) this.#finish(job, "FAILED", reason);
  }

  /**
   * Reclaims the hosts of running jobs, the oldest first, as EC2 does with Spot instances.
   *
   * @returns how many there were
   */
  reclaim(count: number): number {
    const hit = [...this.jobs.values()].filter(({ container, stop }) => container && !stop).slice(0, count);
    for (const job of hit) {
      job.stop = { kind: "reclaimed", instance: `i-0${randomBytes(8).toString("hex")}` };
      job.container?.stop(SPOT_NOTICE_SECONDS * this.#secondMs);
    }
    return hit.length;
  }

  /** Kills all containers and waits until they have ended. */
  async close(): Promise<void> {
    clearInterval(this.#ticking);
    const containers = [...this.jobs.values()].flatMap(({ container, timeout }) => {
      clearTimeout(timeout);
      return container ?? [];
    });
    for (const container of containers) container.kill();
    await Promise.all(containers.map(({ exited }) => exited));
  }

  /** Moves every job on by one state at most, so that a client may see each. */
  #tick(): void {
    const jobs = [...this.jobs.values()];
    const inStatus = (status: Job["status"]) => jobs.filter((job) => job.status === status);
    const [starting, runnable, pending, submitted] = [
      inStatus("STARTING"),
      inStatus("RUNNABLE"),
      inStatus("PENDING").filter(({ size }) => size === null),
      inStatus("SUBMITTED"),
    ];
    for (const job of starting) this.#run(job);
    for (const queue of this.queues.values())
      this.#assignHosts(runnable.filter((job) => job.queue === queue));
    for (const job of pending) {
      job.status = "RUNNABLE";
      if (job.parent) job.parent.status = "PENDING";
    }
    for (const job of submitted) this.#evaluate(job);
  }

  #evaluate(job: Job): void {
    if (job.size === null) job.status = "RUNNABLE";
    else if (job.children.length === 0) {
      for (let index = 0; index < job.size; index++) {
        const child = newJob({ ...job, size: null }, job, index);
        job.children.push(child);
        this.add(child);
      }
    }
  }

  /** First come, first served: a job that does not fit blocks those behind it in its queue. */
  #assignHosts(runnable: readonly Job[]): void {
    for (const job of runnable) {
      if (job.definition.vcpus > this.#freeVcpus()) {
        job.statusReason = NO_CAPACITY;
        return;
      }
      job.status = "STARTING";
      job.statusReason = undefined;
    }
  }

  #freeVcpus(): number {
    const used = [...this.jobs.values()].filter(isOnHost).map(({ definition }) => definition.vcpus);
    return used.reduce((free, vcpus) => free - vcpus, this.options.vcpus);
  }

  #run(job: Job): void {
    const { command, logs, environment } = this.options;
    const container = new Container({
      command,
      logs,
      definition: job.definition.name,
      environment: environmentOf(job, environment, COMPUTE_ENVIRONMENT),
    });
    job.status = "RUNNING";
    job.startedAt = Date.now();
    job.container = container;
    const { timeoutSeconds } = job.definition;
    if (timeoutSeconds !== null)
      job.timeout = setTimeout(() => this.#timeOut(job), timeoutSeconds * this.#secondMs);
    void container.exited.then((exit) => this.#exited(job, container, exit));
  }

  #timeOut(job: Job): void {
    job.stop ??= { kind: "timeout" };
    job.container?.stop(TERMINATION_GRACE_SECONDS * this.#secondMs);
  }

  #exited(job: Job, container: Container, exit: Exit): void {
    clearTimeout(job.timeout);
    const outcome = outcomeOf(job, exit);
    const { statusReason, ...rest } = outcome;
    job.container = null;
    job.attempts.push({
      container: { ...rest, logStreamName: container.logStream },
      startedAt: job.startedAt,
      stoppedAt: Date.now(),
      statusReason,
    });
    const stopped = job.stop?.kind;
    job.stop = null;
    const isFinal = stopped === "terminated" || stopped === "timeout";
    const { retryStrategy } = job.definition;
    if (stopped === undefined && outcome.exitCode === 0) this.#finish(job, "SUCCEEDED", statusReason);
    else if (!isFinal && isRetried(retryStrategy, job.attempts.length, outcome)) job.status = "RUNNABLE";
    else this.#finish(job, "FAILED", statusReason);
  }

  #finish(job: Job, status: "SUCCEEDED" | "FAILED", reason: string): void {
    job.status = status;
    job.statusReason = reason;
    job.stoppedAt = Date.now();
    const { parent } = job;
    if (!parent?.children.every(isOver)) return;
    const failed = parent.children.some((child) => child.status === "FAILED");
    const why = parent.stop?.kind === "terminated" ? parent.stop.reason : "Array Child Job failed";
    this.#finish(parent, failed ? "FAILED" : "SUCCEEDED", failed ? why : "");
  }
}

function outcomeOf({ stop }: Job, exit: Exit): Outcome {
  if (stop?.kind === "reclaimed") return { statusReason: `Host EC2 (instance ${stop.instance}) terminated.` };
  if ("failedToStart" in exit)
    return {
      statusReason: "Task failed to start",
      reason: `CannotStartContainerError: ${exit.failedToStart}`,
    };
  if (stop?.kind === "terminated") return { statusReason: stop.reason, ...exit };
  if (stop?.kind === "timeout") return { statusReason: "Job attempt duration exceeded timeout", ...exit };
  return { statusReason: "Essential container in task exited", ...exit };
}
