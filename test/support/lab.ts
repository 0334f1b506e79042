import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { beginJob, createRecord } from "../../cli/submission/create.ts";
import { uploadDataset } from "../../cli/submission/dataset.ts";
import { openEmbedded } from "../../cli/targets/embedded.ts";
import { openEndpoint } from "../../cli/targets/endpoint.ts";
import type { LocalTarget } from "../../cli/targets/target.ts";
import type { Cloud } from "../../cloud/connect.ts";
import type { Dataset } from "../../ml/data/dataset.ts";
import { sha256 } from "../../protocol/digest.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type Provenance, type State } from "../../protocol/records.ts";
import { parameterBytes } from "../../protocol/shard.ts";
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
  /** Waits until the job has ended. */
  ended(job: string, deadlineMs?: number): Promise<State>;
  /** SHA-256 of the parameters of a version. */
  digest(job: string, version: number): Promise<string>;
  close(): Promise<void>;
};

/** The functions look after lost tasks sooner than on a user's machine, since a test waits for them. */
const QUICK = { PS_WATCHDOG_SECONDS: "0.5", PS_REDISPATCH_SECONDS: "2", TF_NUM_INTRAOP_THREADS: "1" };

/** @param endpoint of an S3 and SQS that someone else runs; without, the lab has its own */
export async function openLab(endpoint?: string): Promise<Lab> {
  const folder = mkdtempSync(join(tmpdir(), "ps-lab-"));
  process.env.PS_CACHE_DIR = join(folder, "cache");
  const target = await (endpoint === undefined
    ? openEmbedded(folder)
    : openEndpoint({ kind: "endpoint", dataDir: folder, endpoint }));
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

  return {
    target,
    cloud,
    start,
    async submit(spec, dataset) {
      if (dataset) await uploadDataset(cloud.store, dataset);
      await createRecord(cloud, { spec, dataset: dataset?.digest ?? null, provenance });
      return beginJob(cloud, { spec, dataset: dataset?.digest ?? null, provenance });
    },
    async ended(job, deadlineMs = 60_000) {
      const look = async () => {
        const { state } = await cloud.jobs.state(job);
        return isEnded(state) ? state : null;
      };
      try {
        return await waitFor(look, `the end of ${job}`, deadlineMs);
      } catch (error) {
        console.error(await cloud.jobs.findState(job), lastWords(join(folder, "logs")));
        throw error;
      }
    },
    digest: (job, version) => digest(cloud, job, version),
    async close() {
      await Promise.all([...children].map(kill));
      target.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
    },
  };
}

/** The ends of all logs, to understand a failure by. */
function lastWords(logs: string): string {
  const files = readdirSync(logs, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .map(({ parentPath, name }) => {
      const lines = readFileSync(join(parentPath, name), "utf8").trimEnd().split("\n");
      return [`--- ${name}`, ...lines.slice(-12)].join("\n");
    })
    .join("\n");
}

/** Kill -9, and wait for the end. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Polls until `look` gives something; fails loudly when it does not in time. Errors of `look` count as nothing. */
export async function waitFor<T>(
  look: () => Promise<T | null>,
  what: string,
  deadlineMs: number,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const found = await look();
      if (found !== null) return found;
    } catch (error) {
      last = error;
    }
    await delay(25);
  }
  throw new Error(`waited ${deadlineMs} ms in vain for ${what}`, { cause: last });
}

async function digest({ store, jobs }: Cloud, job: string, version: number): Promise<string> {
  const layout = await jobs.layout(job);
  if (!layout) throw new Error(`${job} has no layout`);
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

/** Of the jobs of tests and benches. */
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
