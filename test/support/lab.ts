import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beginJob, resumeJob } from "../../cli/submission/attempts.ts";
import { uploadDataset } from "../../cli/submission/dataset.ts";
import { createRecord } from "../../cli/submission/job-record.ts";
import { openEmbedded } from "../../cli/targets/open-embedded.ts";
import { openEndpoint } from "../../cli/targets/open-endpoint.ts";
import type { LocalTarget } from "../../cli/targets/target.ts";
import type { Cloud } from "../../cloud/connect.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import { sha256 } from "../../protocol/digest.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type Provenance, type State } from "../../protocol/records.ts";
import { required } from "../../protocol/required.ts";
import { parameterBytes } from "../../protocol/shard.ts";
import { embeddedIn, endpointIn } from "./addresses.ts";
import { jobOf } from "./job.ts";

export type Role = "worker" | "functions";

/** A parameter server in a folder of its own, whose processes a test starts and kills as it likes. */
export type Lab = {
  readonly target: LocalTarget;
  readonly cloud: Cloud;
  /** Starts a process; its output goes to `<folder>/logs/`. */
  start(role: Role, options?: { job?: string; name?: string; env?: Record<string, string> }): ChildProcess;
  /** Submits a job without starting anything. */
  submit(spec: JobSpec, dataset?: Dataset): Promise<State>;
  /** Resumes a job that has ended, without starting anything. */
  resume(state: State, steps: number): Promise<State>;
  /** Waits until the job has ended. */
  ended(job: string, deadlineMs?: number): Promise<State>;
  /** Waits until the job has a version, or has ended. */
  reached(job: string, version: number, deadlineMs?: number): Promise<State>;
  /** Returns the SHA-256 of the parameters of a version. */
  digest(job: string, version: number): Promise<string>;
  close(): Promise<void>;
};

/** The watchdog finds lost tasks sooner than on a user's machine, since a test waits for it. */
const QUICK = { PS_WATCHDOG_SECONDS: "0.5", PS_REDISPATCH_SECONDS: "2", TF_NUM_INTRAOP_THREADS: "1" };

/**
 * @param endpoint of an S3 and SQS that something else runs; without it, the lab has its own
 * @param folder of its data and logs, which goes when the lab is closed
 */
export async function openLab(
  endpoint?: string,
  folder = mkdtempSync(join(tmpdir(), "ps-lab-")),
): Promise<Lab> {
  process.env.PS_CACHE_DIR = join(folder, "cache");
  const target = await (endpoint === undefined
    ? openEmbedded(embeddedIn(folder))
    : openEndpoint(endpointIn(folder, endpoint)));
  const { cloud } = target;
  const children = new Set<ChildProcess>();

  const start: Lab["start"] = (role, { job, name = role, env = {} } = {}) => {
    mkdirSync(join(folder, "logs"), { recursive: true });
    const log = openSync(join(folder, "logs", `${name}.log`), "a");
    const child = spawn(process.execPath, ["--enable-source-maps", join("dist", `${role}.js`)], {
      env: {
        ...process.env,
        ...target.environment,
        ...QUICK,
        PS_WORKER: name,
        PS_JOB: job ?? "",
        ...env,
      },
      stdio: ["ignore", log, log, "ipc"],
    });
    closeSync(log);
    children.add(child);
    child.once("exit", () => children.delete(child));
    return child;
  };

  const reach: Lab["reached"] = async (job, version, deadlineMs = 60_000) => {
    const reached = async () => {
      const { state } = await cloud.jobs.state(job);
      return isEnded(state) || (state.version ?? -1) >= version ? state : null;
    };
    try {
      const what = version === Number.POSITIVE_INFINITY ? "the end" : `version ${version}`;
      return await waitFor(reached, `${what} of ${job}`, deadlineMs);
    } catch (error) {
      console.error(await cloud.jobs.findState(job), logEnds(join(folder, "logs")));
      throw error;
    }
  };

  return {
    target,
    cloud,
    start,
    async submit(spec, dataset) {
      if (dataset) await uploadDataset(cloud.store, dataset);
      await createRecord(cloud, { spec, dataset: dataset?.digest ?? null, provenance });
      return beginJob(cloud, { spec, dataset: dataset?.digest ?? null, provenance });
    },
    resume: (state, steps) => resumeJob(cloud, state, steps),
    ended: (job, deadlineMs) => reach(job, Number.POSITIVE_INFINITY, deadlineMs),
    reached: (job, version, deadlineMs) => reach(job, version, deadlineMs),
    digest: (job, version) => digest(cloud, job, version),
    async close() {
      await Promise.all([...children].map(kill));
      target.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
    },
  };
}

/** Returns the ends of all logs, to explain a failure. */
function logEnds(logs: string): string {
  const files = readdirSync(logs, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => {
      const lines = readFileSync(join(parentPath, name), "utf8").trimEnd().split("\n");
      return [`--- ${name}`, ...lines.slice(-12)].join("\n");
    })
    .join("\n");
}

/** Kills a process with SIGKILL and waits for its end. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Polls until a value is not null, and throws when that takes too long. An error of `poll` counts as null. */
export async function waitFor<T>(
  poll: () => Promise<T | null>,
  what: string,
  deadlineMs: number,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await poll();
      if (value !== null) return value;
    } catch (error) {
      last = error;
    }
    await sleep(25);
  }
  throw new Unrecoverable(`waited ${deadlineMs} ms in vain for ${what}`, { cause: last });
}

async function digest({ store, jobs }: Cloud, job: string, version: number): Promise<string> {
  const layout = required(await jobs.layout(job), `the layout of ${job}`);
  const parts = await Promise.all(
    layout.shards.map(async (_, shard) => {
      const { start, end } = parameterBytes(layout, shard);
      const bytes = new Uint8Array(end - start);
      await store.getInto(keys.shard(job, version, shard), start, bytes);
      return bytes;
    }),
  );
  return sha256(...parts);
}

/** The provenance of the jobs of tests and benches. */
export const provenance: Provenance = {
  createdAt: new Date(0).toISOString(),
  version: "test",
  node: process.version,
  platform: process.platform,
  backend: "wasm",
  device: "cpu",
  library: "test",
  flags: {},
};

/** Throws with the job's reason unless it succeeded. */
export function requireSucceeded({ status, reason }: State): void {
  if (status !== "succeeded") throw new Unrecoverable(`the job ${status}: ${reason}`);
}

/** A linear job, the smallest there is; 2 ranks x 3 shards and AdamW unless told otherwise. */
export function linearJob(name: string, changes: Record<string, unknown> = {}): JobSpec {
  const job = {
    name,
    model: { type: "linear", inputs: 10, outputs: 10 },
    data: { type: "linear" },
    optimizer: { type: "adamw", learningRate: 0.05, clipNorm: 1 },
    steps: 20,
    ranks: 2,
    shards: 3,
    batch: 8,
    backend: "wasm",
    ...changes,
  };
  return jobOf(job, name);
}
