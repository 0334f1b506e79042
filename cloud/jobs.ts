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
import type { Store } from "./store.ts";

export type Stated = { readonly state: State; readonly etag: string };

const CHANGE_TRIES = 50;
const CACHED_JOBS = 64;

/** A job's JSON objects. What never changes is kept in memory. */
export class Jobs {
  readonly #store: Store;
  readonly #records = new Map<string, JobRecord>();
  readonly #layouts = new Map<string, Layout>();
  /** The latest manifest this process made of each job: what the next one is made from. */
  readonly #manifests = new Map<string, Manifest>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** `job.json`, or null when there is no such job. */
  async find(job: string): Promise<JobRecord | null> {
    const known = this.#records.get(job);
    if (known) return known;
    const key = keys.job(job);
    const stored = await this.#store.get(key);
    return stored && remember(this.#records, job, parseJobRecord(stored.body, key));
  }

  /** `job.json`. @throws InvalidInput when there is no such job */
  async record(job: string): Promise<JobRecord> {
    return (await this.find(job)) ?? notThere(job);
  }

  /** `layout.json`, or null before the init task has written it. */
  async layout(job: string): Promise<Layout | null> {
    const known = this.#layouts.get(job);
    if (known) return known;
    const key = keys.layout(job);
    const stored = await this.#store.get(key);
    return stored && remember(this.#layouts, job, parseAs(layoutSchema, stored.body, key));
  }

  /** `state.json` and its etag, or null before the job is submitted. */
  async findState(job: string): Promise<Stated | null> {
    const key = keys.state(job);
    const stored = await this.#store.get(key);
    return stored && { state: parseAs(stateSchema, stored.body, key), etag: stored.etag };
  }

  /** `state.json` and its etag. @throws InvalidInput when there is no such job */
  async state(job: string): Promise<Stated> {
    return (await this.findState(job)) ?? notThere(job);
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
   * @param known a state read before, which saves the first read
   * @returns the state after
   */
  async change(job: string, change: (state: State) => State | null, known?: Stated): Promise<State> {
    let current = known ?? (await this.state(job));
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
   * @param attempt which must still be the present one; without, whichever is
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
    const known = this.#manifests.get(job);
    if (known?.version === version) return known;
    const key = keys.manifest(job, version);
    const stored = await this.#store.get(key);
    return stored && parseAs(manifestSchema, stored.body, key);
  }

  /** Creates a manifest, once. @returns the one that stands: another may have been first */
  async createManifest(manifest: Manifest): Promise<Manifest> {
    const { job, version } = manifest;
    const created = await this.#store.create(keys.manifest(job, version), encodeJson(manifest));
    if (created === "created") return remember(this.#manifests, job, manifest);
    return (await this.manifest(job, version)) ?? notThere(job);
  }
}

function remember<T>(cache: Map<string, T>, job: string, value: T): T {
  const [oldest] = cache.keys();
  if (cache.size >= CACHED_JOBS && oldest !== undefined) cache.delete(oldest);
  cache.set(job, value);
  return value;
}

function notThere(job: string): never {
  throw new InvalidInput(`there is no job named "${job}"; ps-submit list shows all`);
}
