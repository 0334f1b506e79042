import { LRUCache } from "lru-cache";
import { InvalidInput, TryAgain } from "../protocol/errors.ts";
import { encodeJson } from "../protocol/json.ts";
import { keys } from "../protocol/keys.ts";
import { type Layout, layoutSchema } from "../protocol/layout.ts";
import { parseAs } from "../protocol/parse.ts";
import {
  isEnded,
  type JobRecord,
  type Manifest,
  manifestSchema,
  parseJobRecord,
  type State,
  stateSchema,
} from "../protocol/records.ts";
import { required } from "../protocol/required.ts";
import type { Store } from "./store.ts";

export type Stated = {
  readonly state: State;
  readonly etag: string;
  /** Milliseconds since the state was stored, by S3's own clock. */
  readonly ageMs: number;
};

const CHANGE_TRIES = 50;
/** Jobs whose records are kept in memory. */
const CACHED_JOBS = 64;

/** A job's JSON objects. Those that never change are kept in memory. */
export class Jobs {
  readonly #store: Store;
  readonly #records = new LRUCache<string, JobRecord>({ max: CACHED_JOBS });
  readonly #layouts = new LRUCache<string, Layout>({ max: CACHED_JOBS });
  /** The latest manifest of each job that this process made, from which it makes the next one. */
  readonly #manifests = new LRUCache<string, Manifest>({ max: CACHED_JOBS });

  constructor(store: Store) {
    this.#store = store;
  }

  /** `job.json`, or null when there is no such job. */
  async find(job: string): Promise<JobRecord | null> {
    const cached = this.#records.get(job);
    if (cached) return cached;
    const key = keys.job(job);
    const stored = await this.#store.get(key);
    if (!stored) return null;
    const record = parseJobRecord(stored.body, key);
    this.#records.set(job, record);
    return record;
  }

  /** `job.json`. @throws InvalidInput when there is no such job */
  async record(job: string): Promise<JobRecord> {
    return (await this.find(job)) ?? noSuchJob(job);
  }

  /** `layout.json`, or null before the init task has written it. */
  async layout(job: string): Promise<Layout | null> {
    const cached = this.#layouts.get(job);
    if (cached) return cached;
    const key = keys.layout(job);
    const stored = await this.#store.get(key);
    if (!stored) return null;
    const layout = parseAs(layoutSchema, stored.body, key);
    this.#layouts.set(job, layout);
    return layout;
  }

  /** `state.json` and its etag, or null before the job is submitted. */
  async findState(job: string): Promise<Stated | null> {
    const key = keys.state(job);
    const stored = await this.#store.get(key);
    if (!stored) return null;
    const { body, etag, ageMs } = stored;
    return { state: parseAs(stateSchema, body, key), etag, ageMs };
  }

  /** `state.json` and its etag. @throws InvalidInput when there is no such job */
  async state(job: string): Promise<Stated> {
    return (await this.findState(job)) ?? noSuchJob(job);
  }

  /** The version that a job is at. @throws InvalidInput when it has none yet */
  async latestVersion(job: string): Promise<number> {
    const { state } = await this.state(job);
    if (state.version !== null) return state.version;
    throw new InvalidInput(`${job} has no parameters yet; it is ${state.status}`);
  }

  /**
   * Changes `state.json` by compare-and-swap.
   *
   * @param change gets the present state; null leaves it as it is
   * @param read a state that was read before, which saves the first read
   * @returns the state after
   */
  async change(job: string, change: (state: State) => State | null, read?: Stated): Promise<State> {
    let current = read ?? (await this.state(job));
    for (let attempt = 1; attempt <= CHANGE_TRIES; attempt++) {
      const next = change(current.state);
      if (next === null) return current.state;
      const stamped = { ...next, updatedAt: new Date().toISOString() };
      if (await this.#store.replace(keys.state(job), encodeJson(stamped), current.etag)) return stamped;
      current = await this.state(job);
    }
    throw new TryAgain(`${keys.state(job)} was changed by others ${CHANGE_TRIES} times in a row`);
  }

  /**
   * Ends a job unless it has ended; the first reason stands.
   *
   * @param attempt which must still be the present one; default: whichever is
   */
  async end(
    job: string,
    status: "succeeded" | "failed" | "stopped",
    reason: string | null,
    attempt?: number,
  ): Promise<State> {
    return this.change(job, (state) =>
      isEnded(state) || state.attempt !== (attempt ?? state.attempt)
        ? null
        : { ...state, status, reason, endedAt: new Date().toISOString() },
    );
  }

  /** The manifest of a version, or null when that version is not there. */
  async manifest(job: string, version: number): Promise<Manifest | null> {
    const cached = this.#manifests.get(job);
    if (cached?.version === version) return cached;
    const key = keys.manifest(job, version);
    const stored = await this.#store.get(key);
    return stored && parseAs(manifestSchema, stored.body, key);
  }

  /** Creates a manifest, once. @returns the one that stands: another may have been first */
  async createManifest(manifest: Manifest): Promise<Manifest> {
    const { job, version } = manifest;
    const created = await this.#store.create(keys.manifest(job, version), encodeJson(manifest));
    if (created === "exists") return required(await this.manifest(job, version), keys.manifest(job, version));
    this.#manifests.set(job, manifest);
    return manifest;
  }
}

function noSuchJob(job: string): never {
  throw new InvalidInput(`there is no job named "${job}"; ps-submit list shows all`);
}
