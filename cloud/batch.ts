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
import {
  groupOf,
  hasEnded,
  type LivingGroup,
  type Member,
  memberOf,
  statusOf,
  type WorkerGroup,
} from "./worker-groups.ts";

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
