import type { Batch } from "../../cloud/batch.ts";
import { type Counts, countsIn, hasEnded, type Member, type WorkerGroup } from "../../cloud/worker-groups.ts";
import { describe } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { FEWER, seenOf } from "../targets/stack-workers.ts";
import type { WorkersSeen } from "./progress.ts";

const LOOK_MS = 5000;
/** Members are asked one by one, so of a large group only now and then. */
const REASON_MS = 30_000;
const NONE_STARTED_MS = 600_000;
/** Workers that fail are told of one by one up to so many; there may be thousands. */
const TOLD_FAILURES = 3;

/** What is asked about the workers. */
export type WorkerSources = {
  readonly batch: Pick<Batch, "groups" | "members">;
  /** Why nothing in the job queue can start; null when nothing is wrong with it. */
  readonly trouble: () => Promise<string | null>;
  /** The last lines of a worker's log. */
  readonly tail: (logStream: string) => Promise<readonly string[]>;
  /** A command that is recommended, with the options that lead it to the same stack. */
  readonly command: (words: string) => string;
};

/** The workers of a job on AWS Batch, looked at again and again: how many run, why the others do not, who failed. */
export class WorkersView {
  readonly #sources: WorkerSources;
  readonly #told = new Set<string>();
  #seen: WorkersSeen | null = null;
  #next = 0;
  #reason: { readonly text: string | null; readonly until: number } = { text: null, until: 0 };
  #noneSince: number | null = null;

  constructor(sources: WorkerSources) {
    this.#sources = sources;
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
      const groups = await this.#sources.batch.groups(state.job, state.attempt);
      const counts = countsIn(groups);
      const waits = counts.SUBMITTED + counts.PENDING + counts.RUNNABLE > 0;
      const why = waits ? await this.#whyWaiting(groups, now) : null;
      const failed = await this.#failed(groups);
      this.#seen = seenOf({ ...counts, FAILED: failed.length }, why);
      if (isEnded(state)) return;
      await this.#tellFailures(state.job, failed, tell);
      this.#tellNoneStarted(state.job, counts, waits, tell, now);
    } catch (error) {
      const text = `AWS Batch could not be asked about the workers: ${describe(error)}`;
      if (!this.#told.has(text)) tell(text);
      this.#told.add(text);
    }
  }

  async #whyWaiting(groups: readonly WorkerGroup[], now: number): Promise<string | null> {
    if (now < this.#reason.until) return this.#reason.text;
    const text = (await this.#sources.trouble()) ?? (await this.#reasonOfWaiting(groups));
    this.#reason = { text, until: now + (text === null ? LOOK_MS : REASON_MS) };
    return text;
  }

  async #reasonOfWaiting(groups: readonly WorkerGroup[]): Promise<string | null> {
    for (const group of groups.filter((one) => !hasEnded(one))) {
      const waiting = (await this.#sources.batch.members(group)).filter(
        ({ status }) => status === "RUNNABLE",
      );
      const reason = waiting.find((member) => member.reason !== null)?.reason ?? group.reason;
      if (reason) return reason;
    }
    return null;
  }

  /** Those that failed by themselves: Batch also calls failed whom its user wanted no longer. */
  async #failed(groups: readonly WorkerGroup[]): Promise<Member[]> {
    const failing = groups.filter(({ counts }) => counts.FAILED > 0);
    const members = await Promise.all(failing.map((group) => this.#sources.batch.members(group)));
    return members.flat().filter(({ status, reason }) => status === "FAILED" && reason !== FEWER);
  }

  async #tellFailures(job: string, failed: readonly Member[], tell: (event: string) => void) {
    const news = failed.filter(({ id }) => !this.#told.has(id));
    for (const member of news.slice(0, TOLD_FAILURES)) await this.#tellFailure(member, tell);
    for (const { id } of news) this.#told.add(id);
    const more = news.length - TOLD_FAILURES;
    if (more > 0)
      tell(`${more} more workers failed for good; see them with: ${this.#sources.command(`logs ${job}`)}`);
  }

  async #tellFailure(member: Member, tell: (event: string) => void): Promise<void> {
    const lines =
      member.logStream === null
        ? []
        : await this.#sources.tail(member.logStream).catch((error: unknown) => [describe(error)]);
    tell(describeFailure(member, lines.length > 0));
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
    tell(`    ${job} goes on waiting, at no cost; end it with: ${this.#sources.command(`cancel ${job}`)}`);
  }
}

function describeFailure({ index, reason, exitCode, logStream, attempts }: Member, said: boolean): string {
  const code = exitCode === null ? "" : `, exit code ${exitCode}`;
  const tries = attempts > 1 ? ` after ${attempts} attempts` : "";
  const log = logStream === null ? "" : `; its log ${logStream} ${said ? "ends with:" : "is empty"}`;
  return `worker ${index} failed for good${tries}: ${reason ?? "AWS Batch gives no reason"}${code}${log}`;
}
