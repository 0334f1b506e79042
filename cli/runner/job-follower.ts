import type { Cloud } from "../../cloud/connect.ts";
import { keys } from "../../protocol/keys.ts";
import { HISTORY_BLOCK, type Metrics, metricsSchema, type State } from "../../protocol/records.ts";
import { count, loss } from "../terminal/format.ts";

/** Blocks of history that a view reads when it begins in the middle of a job. */
const MAX_BLOCKS = 20;

export type JobUpdate = {
  readonly state: State;
  /** The steps since the last poll, in order. */
  readonly steps: readonly Metrics[];
};

/** Polls a job; each poll returns what is new. */
export class Follower {
  readonly #cloud: Cloud;
  readonly #job: string;
  #seen = 0;

  constructor(cloud: Cloud, job: string) {
    this.#cloud = cloud;
    this.#job = job;
  }

  /** @throws InvalidInput when there is no such job */
  async poll(): Promise<JobUpdate> {
    const { state } = await this.#cloud.jobs.state(this.#job);
    return { state, steps: await this.#stepsUpTo(state.version ?? 0) };
  }

  async #stepsUpTo(version: number): Promise<Metrics[]> {
    if (version <= this.#seen) return [];
    const manifest = await this.#cloud.jobs.manifest(this.#job, version);
    // Removed already, as newer ones have come: the next poll finds those.
    if (manifest === null) return [];
    const first = manifest.metrics[0]?.version ?? version + 1;
    const steps = [...(await this.#blocks(this.#seen, first - 1)), ...manifest.metrics];
    const fresh = steps.filter((step) => step.version > this.#seen);
    this.#seen = version;
    return fresh;
  }

  /** Reads the history of the versions in (after, last], which fill whole blocks up to `last`. */
  async #blocks(after: number, last: number): Promise<Metrics[]> {
    const end = Math.ceil(last / HISTORY_BLOCK);
    const start = Math.max(Math.floor(after / HISTORY_BLOCK), end - MAX_BLOCKS);
    const blocks = Array.from({ length: Math.max(0, end - start) }, (_, i) => this.#block(start + i));
    return (await Promise.all(blocks)).flat();
  }

  async #block(block: number): Promise<Metrics[]> {
    const stored = await this.#cloud.store.get(keys.history(this.#job, block));
    const lines = new TextDecoder().decode(stored?.body).split("\n");
    return lines.filter((line) => line !== "").map((line) => metricsSchema.parse(JSON.parse(line)));
  }
}

/** Returns what to report to a person of the way from one state to the next. */
export function eventsBetween(before: State | null, after: State): string[] {
  const { evaluation, checkpoint } = after;
  const events: string[] = [];
  if (evaluation && evaluation.version !== before?.evaluation?.version) {
    events.push(`evaluation at step ${count(evaluation.version)}: held-out loss ${loss(evaluation.loss)}`);
  }
  if (checkpoint && checkpoint.version !== before?.checkpoint?.version) {
    events.push(`checkpoint of step ${count(checkpoint.version)} written`);
  }
  return events;
}
