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
import pLimit from "p-limit";
import { InvalidInput } from "../protocol/errors.ts";
import { required } from "../protocol/required.ts";
import {
  hasEnded,
  type LivingGroup,
  type Member,
  memberOf,
  type WorkerGroup,
  workerGroupOf,
  workerStatusOf,
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
const MAX_MEMBERS = 10_000;
/** Jobs of one DescribeJobs request. */
const DESCRIBED_AT_ONCE = 100;
const CONCURRENT_TERMINATIONS = 8;
const MAX_REASON_CHARACTERS = 1024;

/** The verbs this system needs of AWS Batch. The workers of a job are asked of Batch each time, and stored nowhere. */
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
   * Submits workers of a job's attempt: a plain job for one, an array job for more.
   *
   * @returns the id of the Batch job
   * @throws InvalidInput for a size that Batch does not accept
   */
  async submit({ job, attempt, queue, definition, size, environment }: Submission): Promise<string> {
    if (!Number.isInteger(size) || size < 1 || size > MAX_MEMBERS) {
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
    return required(jobId, `jobId of the workers of ${job}, which AWS Batch accepted,`);
  }

  /** Every group of workers that an attempt was given, oldest first, ended ones too. */
  async groups(job: string, attempt: number): Promise<WorkerGroup[]> {
    const name = this.#name(job, attempt);
    const listed = await this.#listAll(name);
    const details = await this.#describe(listed.map(({ jobId }) => required(jobId, "jobId of a Batch job")));
    const groups = details.map(workerGroupOf);
    return groups.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1));
  }

  /** The groups of workers of all jobs that have not ended. */
  async living(): Promise<LivingGroup[]> {
    const all = await this.#listAll(`${this.#prefix}*`);
    const listed = all.filter((job) => !hasEnded({ status: workerStatusOf(job) }));
    const details = await this.#describe(listed.map(({ jobId }) => required(jobId, "jobId of a Batch job")));
    return details.map(workerGroupOf).flatMap((group) => {
      // Batch compares names without regard to case, so a group may be another stack's.
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
   * The jobs of this name in a queue, in any status; a name that ends with `*` stands for all names that begin so. A filter by
   * name leaves out the children of arrays.
   */
  async #list(jobQueue: string, name: string): Promise<JobSummary[]> {
    const listed: JobSummary[] = [];
    let nextToken: string | undefined;
    do {
      const command = new ListJobsCommand({
        jobQueue,
        filters: [{ name: "JOB_NAME", values: [name] }],
        ...(nextToken !== undefined && { nextToken }),
      });
      const page = await unlessNoQueue(this.#client.send(command));
      if (page) listed.push(...required(page.jobSummaryList, "jobSummaryList of ListJobs"));
      nextToken = page?.nextToken;
    } while (nextToken !== undefined);
    return listed;
  }

  async #describe(ids: readonly string[]): Promise<JobDetail[]> {
    const details: JobDetail[] = [];
    for (let i = 0; i < ids.length; i += DESCRIBED_AT_ONCE) {
      const command = new DescribeJobsCommand({ jobs: ids.slice(i, i + DESCRIBED_AT_ONCE) });
      details.push(...required((await this.#client.send(command)).jobs, "jobs of DescribeJobs"));
    }
    return details;
  }

  /** Terminating a job that has ended is no error. */
  async #terminateAll(ids: readonly string[], reason: string): Promise<void> {
    const limit = pLimit(CONCURRENT_TERMINATIONS);
    const terminate = (jobId: string) =>
      this.#client.send(new TerminateJobCommand({ jobId, reason: reason.slice(0, MAX_REASON_CHARACTERS) }));
    await limit.map(ids, terminate);
  }
}

const isOnHost = ({ status }: Member): boolean => status === "STARTING" || status === "RUNNING";

/** Returns null when the job queue does not exist: workers were not deployed, or the stack is gone. */
async function unlessNoQueue<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    // Batch has one exception for all errors of a client, so only its text tells which one it is.
    const isGone =
      error instanceof ClientException && /queue.*(not found|does ?n[o']t exist)/i.test(error.message);
    if (isGone) return null;
    throw error;
  }
}
