import {
  type Batch,
  hasEnded,
  living,
  type Member,
  type WorkerGroup,
  type WorkerStatus,
} from "../cloud/batch.ts";
import { describe } from "../protocol/errors.ts";
import { isEnded, type JobRecord, type State } from "../protocol/records.ts";
import { command } from "./place.ts";
import { StackLogs } from "./stack-logs.ts";
import { queueTrouble } from "./stack-queues.ts";
import type { StackTarget } from "./target.ts";
import type { WorkersSeen } from "./view/progress.ts";

/** What `ps-submit workers` gives Batch as the reason of an end that is no failure. */
export const FEWER = "its user wants fewer workers";

const LOOK_MS = 5000;
/** Members are asked one by one, so of a large group only now and then. */
const REASON_MS = 30_000;
const NONE_STARTED_MS = 600_000;
/** Workers that fail are told of one by one up to so many; there may be thousands. */
const TOLD_FAILURES = 3;

/** What a workforce asks, apart from Batch's groups. */
export type Eyes = {
  readonly batch: Pick<Batch, "groups" | "members">;
  /** Why nothing in the job queue can start; null when nothing is wrong with it. */
  readonly trouble: () => Promise<string | null>;
  /** The last lines of a worker's log. */
  readonly tail: (logStream: string) => Promise<readonly string[]>;
};

/** Null on a stack without workers. */
export function openWorkforce({ stack, cloud }: StackTarget, record: JobRecord): Workforce | null {
  const { batch } = cloud;
  const queue = stack.workers?.workshops[record.provenance.device]?.queue;
  if (batch === null || queue === undefined) return null;
  const logs = new StackLogs(process.env);
  const group = stack.workers?.logs ?? "";
  return new Workforce({
    batch,
    trouble: () => queueTrouble(queue, process.env),
    tail: (stream) => logs.tail(group, stream),
  });
}

/** The workers of a job on AWS Batch, looked at again and again: how many run, why the others do not, who failed. */
export class Workforce {
  readonly #eyes: Eyes;
  readonly #told = new Set<string>();
  #seen: WorkersSeen | null = null;
  #next = 0;
  #reason: { readonly text: string | null; readonly until: number } = { text: null, until: 0 };
  #noneSince: number | null = null;

  constructor(eyes: Eyes) {
    this.#eyes = eyes;
  }

  /** As of the last look; null before the first. */
  get seen(): WorkersSeen | null {
    return this.#seen;
  }

  /** Looks, if it is time to. A Batch that does not answer is no reason to stop watching a job. */
  async look(state: State, tell: (event: string) => void, now = Date.now()): Promise<void> {
    if (now < this.#next) return;
    this.#next = now + LOOK_MS;
    try {
      const groups = await this.#eyes.batch.groups(state.job, state.attempt);
      const counts = countsOf(groups);
      const waits = counts.SUBMITTED + counts.PENDING + counts.RUNNABLE > 0;
      this.#seen = seenOf(counts, waits ? await this.#whyWaiting(groups, now) : null);
      if (isEnded(state)) return;
      if (counts.FAILED > 0) await this.#tellFailures(state.job, groups, tell);
      this.#tellNoneStarted(state.job, counts, waits, tell, now);
    } catch (error) {
      const text = `AWS Batch could not be asked about the workers: ${describe(error)}`;
      if (!this.#told.has(text)) tell(text);
      this.#told.add(text);
    }
  }

  async #whyWaiting(groups: readonly WorkerGroup[], now: number): Promise<string | null> {
    if (now < this.#reason.until) return this.#reason.text;
    const text = (await this.#eyes.trouble()) ?? (await this.#reasonOfWaiting(groups));
    this.#reason = { text, until: now + (text === null ? LOOK_MS : REASON_MS) };
    return text;
  }

  async #reasonOfWaiting(groups: readonly WorkerGroup[]): Promise<string | null> {
    for (const group of groups.filter((one) => !hasEnded(one))) {
      const waiting = (await this.#eyes.batch.members(group)).filter(({ status }) => status === "RUNNABLE");
      const reason = waiting.find((member) => member.reason !== null)?.reason ?? group.reason;
      if (reason) return reason;
    }
    return null;
  }

  async #tellFailures(job: string, groups: readonly WorkerGroup[], tell: (event: string) => void) {
    for (const group of groups.filter(({ counts }) => counts.FAILED > 0)) {
      const failed = (await this.#eyes.batch.members(group)).filter(
        (member) => member.status === "FAILED" && member.reason !== FEWER && !this.#told.has(member.id),
      );
      for (const member of failed.slice(0, TOLD_FAILURES)) await this.#tellFailure(member, tell);
      for (const { id } of failed) this.#told.add(id);
      const more = failed.length - TOLD_FAILURES;
      if (more > 0) tell(`${more} more workers failed for good; see them with: ${command(`logs ${job}`)}`);
    }
  }

  async #tellFailure(member: Member, tell: (event: string) => void): Promise<void> {
    tell(describeFailure(member));
    if (member.logStream === null) return;
    const lines = await this.#eyes.tail(member.logStream).catch((error: unknown) => [describe(error)]);
    for (const line of lines) tell(`    ${line}`);
  }

  #tellNoneStarted(
    job: string,
    { RUNNING, STARTING, SUCCEEDED }: Counts,
    waits: boolean,
    tell: (event: string) => void,
    now: number,
  ): void {
    if (RUNNING + STARTING + SUCCEEDED > 0 || !waits) this.#noneSince = null;
    else this.#noneSince ??= now;
    if (this.#noneSince === null || now - this.#noneSince < NONE_STARTED_MS) return;
    this.#noneSince = now;
    const why =
      this.#reason.text ?? "Batch gives no reason; a GPU quota of 0 or no Spot capacity is the likeliest";
    tell(`no worker has started for ${NONE_STARTED_MS / 60_000} minutes: ${why}`);
    tell(`    ${job} goes on waiting, at no cost; end it with: ${command(`cancel ${job}`)}`);
  }
}

type Counts = Readonly<Record<WorkerStatus, number>>;

/** Members of all groups by status. */
export function countsOf(groups: readonly WorkerGroup[]): Counts {
  const sum = (status: WorkerStatus) => groups.reduce((total, { counts }) => total + counts[status], 0);
  return {
    SUBMITTED: sum("SUBMITTED"),
    PENDING: sum("PENDING"),
    RUNNABLE: sum("RUNNABLE"),
    STARTING: sum("STARTING"),
    RUNNING: sum("RUNNING"),
    SUCCEEDED: sum("SUCCEEDED"),
    FAILED: sum("FAILED"),
  };
}

/** Workers that are there or to come. */
export const livingIn = (groups: readonly WorkerGroup[]): number =>
  groups.reduce((total, group) => total + living(group), 0);

/** `2 of 4 workers, 1 starting, 1 queued: why`. */
export function seenOf(counts: Counts, why: string | null): WorkersSeen {
  const queued = counts.SUBMITTED + counts.PENDING + counts.RUNNABLE;
  const others = [
    ...(counts.STARTING > 0 ? [`${counts.STARTING} starting`] : []),
    ...(counts.FAILED > 0 ? [`${counts.FAILED} failed`] : []),
    ...(queued > 0 ? [`${queued} queued${why === null ? "" : `: ${why}`}`] : []),
  ].join(", ");
  const alive = counts.RUNNING;
  return { alive, wanted: alive + counts.STARTING + queued, ...(others !== "" && { others }) };
}

function describeFailure({ index, reason, exitCode, logStream, attempts }: Member): string {
  const code = exitCode === null ? "" : `, exit code ${exitCode}`;
  const tries = attempts > 1 ? ` after ${attempts} attempts` : "";
  const log = logStream === null ? "" : `; its log ${logStream} ends with:`;
  return `worker ${index} failed for good${tries}: ${reason ?? "AWS Batch gives no reason"}${code}${log}`;
}
