import type { Batch } from "../../cloud/batch.ts";
import { type Counts, countsIn, hasEnded, type Member, type WorkerGroup } from "../../cloud/worker-groups.ts";
import { describe } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { FEWER, seenOf } from "../targets/stack-workers.ts";
import type { WorkersSeen } from "./progress.ts";

const POLL_MS = 5000;
/** A large group is asked rarely, since each request is for the members of one group. */
const REASON_MS = 30_000;
const NONE_STARTED_MS = 600_000;
/** Failed workers to report one by one, since there may be thousands. */
const MAX_REPORTED_FAILURES = 3;

/** The sources of what is shown of the workers. */
export type WorkerSources = {
  readonly batch: Pick<Batch, "groups" | "members">;
  /** The reason why nothing in the job queue can start; null when the queue is in order. */
  readonly trouble: () => Promise<string | null>;
  /** The last lines of a worker's log. */
  readonly tail: (logStream: string) => Promise<readonly string[]>;
  /** Completes a recommended command with the options that name the same stack. */
  readonly command: (words: string) => string;
};

/** Polls the workers of a job on AWS Batch: how many run, why the others wait, which failed. */
export class BatchWorkersView {
  readonly #sources: WorkerSources;
  readonly #reported = new Set<string>();
  #seen: WorkersSeen | null = null;
  #next = 0;
  #reason: { readonly text: string | null; readonly until: number } = { text: null, until: 0 };
  #noneSince: number | null = null;

  constructor(sources: WorkerSources) {
    this.#sources = sources;
  }

  /** As of the last poll; null before the first. */
  get seen(): WorkersSeen | null {
    return this.#seen;
  }

  /** Asks AWS Batch, unless the last poll was a moment ago. Reports an error of AWS Batch as an event, once. */
  async poll(state: State, report: (event: string) => void, now = Date.now()): Promise<void> {
    if (now < this.#next) return;
    this.#next = now + POLL_MS;
    try {
      const groups = await this.#sources.batch.groups(state.job, state.attempt);
      const counts = countsIn(groups);
      const waits = counts.SUBMITTED + counts.PENDING + counts.RUNNABLE > 0;
      const why = waits ? await this.#whyWaiting(groups, now) : null;
      const failed = await this.#failed(groups);
      this.#seen = seenOf({ ...counts, FAILED: failed.length }, why);
      if (isEnded(state)) return;
      await this.#reportFailures(state.job, failed, report);
      this.#reportNoneStarted(state.job, counts, waits, report, now);
    } catch (error) {
      const text = `AWS Batch could not be asked about the workers: ${describe(error)}`;
      if (!this.#reported.has(text)) report(text);
      this.#reported.add(text);
    }
  }

  async #whyWaiting(groups: readonly WorkerGroup[], now: number): Promise<string | null> {
    if (now < this.#reason.until) return this.#reason.text;
    const text = (await this.#sources.trouble()) ?? (await this.#reasonOfWaiting(groups));
    this.#reason = { text, until: now + (text === null ? POLL_MS : REASON_MS) };
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

  /** The workers that failed by themselves. AWS Batch also counts those as failed that a user terminated. */
  async #failed(groups: readonly WorkerGroup[]): Promise<Member[]> {
    const failing = groups.filter(({ counts }) => counts.FAILED > 0);
    const members = await Promise.all(failing.map((group) => this.#sources.batch.members(group)));
    return members.flat().filter(({ status, reason }) => status === "FAILED" && reason !== FEWER);
  }

  async #reportFailures(job: string, failed: readonly Member[], report: (event: string) => void) {
    const added = failed.filter(({ id }) => !this.#reported.has(id));
    for (const member of added.slice(0, MAX_REPORTED_FAILURES)) await this.#reportFailure(member, report);
    for (const { id } of added) this.#reported.add(id);
    const more = added.length - MAX_REPORTED_FAILURES;
    if (more > 0)
      report(`${more} more workers failed for good; see them with: ${this.#sources.command(`logs ${job}`)}`);
  }

  async #reportFailure(member: Member, report: (event: string) => void): Promise<void> {
    const lines =
      member.logStream === null
        ? []
        : await this.#sources.tail(member.logStream).catch((error: unknown) => [describe(error)]);
    report(describeFailure(member, lines.length > 0));
    for (const line of lines) report(`    ${line}`);
  }

  #reportNoneStarted(
    job: string,
    { RUNNING, STARTING, SUCCEEDED }: Counts,
    waits: boolean,
    report: (event: string) => void,
    now: number,
  ): void {
    if (RUNNING + STARTING + SUCCEEDED > 0 || !waits) this.#noneSince = null;
    else this.#noneSince ??= now;
    if (this.#noneSince === null || now - this.#noneSince < NONE_STARTED_MS) return;
    this.#noneSince = now;
    const why =
      this.#reason.text ?? "Batch gives no reason; a GPU quota of 0 or no Spot capacity is the likeliest";
    report(`no worker has started for ${NONE_STARTED_MS / 60_000} minutes: ${why}`);
    report(`    ${job} keeps waiting, at no cost; end it with: ${this.#sources.command(`cancel ${job}`)}`);
  }
}

function describeFailure(
  { index, reason, exitCode, logStream, attempts }: Member,
  hasLines: boolean,
): string {
  const code = exitCode === null ? "" : `, exit code ${exitCode}`;
  const tries = attempts > 1 ? ` after ${attempts} attempts` : "";
  const log = logStream === null ? "" : `; its log ${logStream} ${hasLines ? "ends with:" : "is empty"}`;
  return `worker ${index} failed for good${tries}: ${reason ?? "AWS Batch gives no reason"}${code}${log}`;
}
