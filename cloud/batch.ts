import {
  type BatchClient,
  ClientException,
  DescribeJobsCommand,
  type JobDetail,
  type JobSummary,
  ListJobsCommand,
  SubmitJobCommand,
  TerminateJobCommand,
} from "@aws-sdk/client-batch";
import { InvalidInput, Unrecoverable } from "../protocol/errors.ts";

export type Device = "gpu" | "cpu";

/** A Batch job's way, in order. */
export const workerStatuses = [
  "SUBMITTED",
  "PENDING",
  "RUNNABLE",
  "STARTING",
  "RUNNING",
  "SUCCEEDED",
  "FAILED",
] as const;
export type WorkerStatus = (typeof workerStatuses)[number];

/** The workers of one submission: a Batch array job, or a plain job for a single one. */
export type WorkerGroup = {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  /** Of an array job, PENDING from the first child that may run until the last one has ended. */
  readonly status: WorkerStatus;
  /** Members by status; they add up to `size`. */
  readonly counts: Readonly<Record<WorkerStatus, number>>;
  readonly reason: string | null;
  readonly createdAt: Date;
};

/** A group of workers that has not ended, and whose it is. */
export type LivingGroup = WorkerGroup & { readonly job: string; readonly attempt: number };

/** One worker of a group. */
export type Member = {
  readonly id: string;
  readonly index: number;
  readonly status: WorkerStatus;
  /** Why it waits, or how it ended, in the words of Batch. */
  readonly reason: string | null;
  /** Of its last attempt; null before the first has ended, and when the host was taken away. */
  readonly exitCode: number | null;
  /** In the log group of the workers. */
  readonly logStream: string | null;
  /** How often it was started and ended. */
  readonly attempts: number;
};

export type Submission = {
  readonly job: string;
  readonly attempt: number;
  /** Name of the job queue. */
  readonly queue: string;
  /** ARN of the job definition, with its revision. */
  readonly definition: string;
  /** Number of workers. */
  readonly size: number;
  /** Added to the job definition's own. */
  readonly environment: Readonly<Record<string, string>>;
};

/** An array job has 2 to 10,000 children. */
const MOST_MEMBERS = 10_000;
const DESCRIBED_AT_ONCE = 100;
const TERMINATED_AT_ONCE = 8;
const LONGEST_REASON = 1024;

export const hasEnded = ({ status }: { readonly status: WorkerStatus }): boolean =>
  status === "SUCCEEDED" || status === "FAILED";

/** Members that have not ended. */
export const living = ({ counts, size }: WorkerGroup): number => size - counts.SUCCEEDED - counts.FAILED;

/** The verbs this system needs of AWS Batch. What workers a job has is asked of Batch each time, and kept nowhere. */
export class Batch {
  readonly #client: BatchClient;
  readonly #queues: readonly string[];
  readonly #prefix: string;

  /**
   * @param queues names of the job queues that workers may be in; one that does not exist has no workers
   * @param prefix starts the name of every Batch job, as of the task queues
   */
  constructor(client: BatchClient, queues: readonly string[], prefix: string) {
    this.#client = client;
    this.#queues = queues;
    this.#prefix = prefix;
  }

  /**
   * Asks for workers of a job's attempt: a plain job for one, an array job for more.
   *
   * @returns the id of the Batch job
   * @throws InvalidInput for a size that Batch does not take
   */
  async submit({ job, attempt, queue, definition, size, environment }: Submission): Promise<string> {
    if (!Number.isInteger(size) || size < 1 || size > MOST_MEMBERS) {
      throw new InvalidInput(`workers must be a whole number from 1 to 10,000 at a time, got ${size}`);
    }
    const command = new SubmitJobCommand({
      jobName: this.#name(job, attempt),
      jobQueue: queue,
      jobDefinition: definition,
      ...(size > 1 && { arrayProperties: { size } }),
      containerOverrides: {
        environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
      },
    });
    const { jobId } = await this.#client.send(command);
    if (jobId === undefined)
      throw new Unrecoverable(`AWS Batch took the workers of ${job} and gave no job id`);
    return jobId;
  }

  /** Every group of workers that an attempt was given, oldest first, ended ones too. */
  async groups(job: string, attempt: number): Promise<WorkerGroup[]> {
    const name = this.#name(job, attempt);
    const found = await this.#listAll(name);
    const details = await this.#describe(found.map(({ jobId }) => jobId ?? ""));
    const groups = details.map(groupOf);
    return groups.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1));
  }

  /** The groups of workers of all jobs that have not ended. */
  async living(): Promise<LivingGroup[]> {
    const found = (await this.#listAll(`${this.#prefix}*`)).filter(
      (job) => !hasEnded({ status: statusOf(job) }),
    );
    const details = await this.#describe(found.map(({ jobId }) => jobId ?? ""));
    return details.map(groupOf).flatMap((group) => {
      // Batch compares names without regard to case, so what it found may be another stack's.
      const isOurs = group.name.startsWith(this.#prefix);
      const [, job, attempt] = /^(.+)-workers-(\d+)$/.exec(group.name.slice(this.#prefix.length)) ?? [];
      return isOurs && job !== undefined && !hasEnded(group)
        ? [{ ...group, job, attempt: Number(attempt) }]
        : [];
    });
  }

  /** The workers of a group by index. An array job that was submitted just now may have none yet. */
  async members({ id, size }: Pick<WorkerGroup, "id" | "size">): Promise<Member[]> {
    const ids = size === 1 ? [id] : Array.from({ length: size }, (_, index) => `${id}:${index}`);
    const members = (await this.#describe(ids)).map(memberOf);
    return members.sort((a, b) => a.index - b.index);
  }

  /**
   * Ends all workers of an attempt: those that wait never start, those that run get SIGTERM.
   *
   * @returns the number of groups that had not ended
   */
  async terminate(job: string, attempt: number, reason: string): Promise<number> {
    const groups = (await this.groups(job, attempt)).filter((group) => !hasEnded(group));
    await this.#terminateAll(
      groups.map(({ id }) => id),
      reason,
    );
    return groups.length;
  }

  /**
   * Leaves an attempt at most `size` workers. Those that wait go before those that run, those of the youngest group
   * first, the highest index first.
   *
   * @returns the number of workers that were ended
   */
  async reduce(job: string, attempt: number, size: number, reason: string): Promise<number> {
    const groups = (await this.groups(job, attempt)).filter((group) => !hasEnded(group));
    const members = await Promise.all(groups.reverse().map((group) => this.members(group)));
    const candidates = members
      .flatMap((group) => group.reverse())
      .filter((member) => !hasEnded(member))
      .sort((a, b) => Number(isOnHost(a)) - Number(isOnHost(b)));
    const surplus = candidates.slice(0, Math.max(0, candidates.length - size));
    await this.#terminateAll(
      surplus.map(({ id }) => id),
      reason,
    );
    return surplus.length;
  }

  #name(job: string, attempt: number): string {
    return `${this.#prefix}${job}-workers-${attempt}`;
  }

  async #listAll(name: string): Promise<JobSummary[]> {
    return (await Promise.all(this.#queues.map((queue) => this.#list(queue, name)))).flat();
  }

  /**
   * The jobs of this name in a queue, in any status; of every name that begins so when it ends with `*`. A filter by
   * name leaves out the children of arrays.
   */
  async #list(jobQueue: string, name: string): Promise<JobSummary[]> {
    const found: JobSummary[] = [];
    let nextToken: string | undefined;
    do {
      const command = new ListJobsCommand({
        jobQueue,
        filters: [{ name: "JOB_NAME", values: [name] }],
        ...(nextToken !== undefined && { nextToken }),
      });
      const page = await unlessNoQueue(this.#client.send(command));
      found.push(...(page?.jobSummaryList ?? []));
      nextToken = page?.nextToken;
    } while (nextToken !== undefined);
    return found;
  }

  async #describe(ids: readonly string[]): Promise<JobDetail[]> {
    const details: JobDetail[] = [];
    for (let i = 0; i < ids.length; i += DESCRIBED_AT_ONCE) {
      const command = new DescribeJobsCommand({ jobs: ids.slice(i, i + DESCRIBED_AT_ONCE) });
      details.push(...((await this.#client.send(command)).jobs ?? []));
    }
    return details;
  }

  /** Terminating a job that has ended is no error. */
  async #terminateAll(ids: readonly string[], reason: string): Promise<void> {
    for (let i = 0; i < ids.length; i += TERMINATED_AT_ONCE) {
      const some = ids.slice(i, i + TERMINATED_AT_ONCE);
      await Promise.all(
        some.map((jobId) =>
          this.#client.send(new TerminateJobCommand({ jobId, reason: reason.slice(0, LONGEST_REASON) })),
        ),
      );
    }
  }
}

const isOnHost = ({ status }: Member): boolean => status === "STARTING" || status === "RUNNING";

/** Null when the job queue does not exist: nobody deployed workers, or the stack is gone. */
async function unlessNoQueue<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    // Batch has one exception for everything a client does wrong, so its text has to tell.
    const isGone =
      error instanceof ClientException && /queue.*(not found|does ?n[o']t exist)/i.test(error.message);
    if (isGone) return null;
    throw error;
  }
}

function groupOf(detail: JobDetail): WorkerGroup {
  const size = detail.arrayProperties?.size ?? 1;
  const status = statusOf(detail);
  const summary = detail.arrayProperties ? detail.arrayProperties.statusSummary : { [status]: 1 };
  return {
    id: detail.jobId ?? "",
    name: detail.jobName ?? "",
    size,
    status,
    counts: countsOf(summary ?? {}, size),
    reason: reasonOf(detail),
    createdAt: new Date(detail.createdAt ?? 0),
  };
}

/** Children that the summary does not have yet are about to be made. */
function countsOf(summary: Readonly<Record<string, number>>, size: number): Record<WorkerStatus, number> {
  const counts = workerStatuses.map((status) => [status, summary[status] ?? 0] as const);
  const known = counts.reduce((sum, [, count]) => sum + count, 0);
  const all = Object.fromEntries(counts) as Record<WorkerStatus, number>;
  return { ...all, SUBMITTED: all.SUBMITTED + Math.max(0, size - known) };
}

function memberOf(detail: JobDetail): Member {
  const { attempts = [], container } = detail;
  const last = attempts.at(-1)?.container;
  return {
    id: detail.jobId ?? "",
    index: detail.arrayProperties?.index ?? 0,
    status: statusOf(detail),
    reason: reasonOf(detail),
    exitCode: container?.exitCode ?? last?.exitCode ?? null,
    logStream: container?.logStreamName ?? last?.logStreamName ?? null,
    attempts: attempts.length,
  };
}

function statusOf({ jobId, status }: JobDetail | JobSummary): WorkerStatus {
  const known = workerStatuses.find((name) => name === status);
  if (known === undefined)
    throw new Unrecoverable(`AWS Batch says that job ${jobId} is ${status}; is it new?`);
  return known;
}

/** The scheduler's words, and the container's in brackets, such as that it was killed for its memory. */
function reasonOf({ statusReason, container }: JobDetail): string | null {
  const words = [
    statusReason,
    container?.reason && (statusReason ? `(${container.reason})` : container.reason),
  ];
  return words.filter(Boolean).join(" ") || null;
}
