import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { wakeCoordinator } from "../cloud/wake.ts";
import { Bug } from "../protocol/errors.ts";
import { taskSchema } from "../protocol/messages.ts";
import { parseAs } from "../protocol/parse.ts";
import { HISTORY_BLOCK, type Metrics } from "../protocol/records.ts";
import { at, required } from "../protocol/required.ts";
import { linearJob, openLab, requireSucceeded } from "../test/support/lab.ts";
import { initialize } from "../worker/init.ts";
import { pull } from "../worker/pull.ts";
import { push } from "../worker/push.ts";
import { type Counts, countRequests, countsSchema } from "./support/count-requests.ts";
import { PRICES, priceOf } from "./support/prices.ts";
import { median, report } from "./support/report.ts";

/**
 * Measures many ranks and shards on one machine: real transfers and real functions, and workers that wait instead of
 * computing. The vector is that of a model of 100 M parameters divided by DIVISOR, as this machine's S3 moves some hundred
 * MB a second and not some thousand; the number of requests does not depend on that.
 *
 *     node bench/scale.ts [ranks 64] [shards 16] [divisor 64]
 */
const [RANKS = 64, SHARDS = 16, DIVISOR = 64] = process.argv.slice(2).map(Number);
const PARAMETERS = 100e6;
const SIDE = Math.round(Math.sqrt(PARAMETERS / DIVISOR));
const STEPS = 6;
const COMPUTE_MS = 500;
const LEASE_SECONDS = 30;
const RENEW_MS = 3000;
const TRIAL_BYTES = 1 << 20;
const TRIALS = 256;
const AT_ONCE = 16;

const counted = countRequests();
const lab = await openLab();
try {
  const bandwidth = await timeTransfers();
  const { name } = await begin();
  const before = counted();
  const countsFile = join(lab.target.home, "requests.json");
  const hook = new URL("./support/count-requests.ts", import.meta.url).href;
  const env = { NODE_OPTIONS: `--import=${hook}`, PS_REQUEST_COUNTS: countsFile };
  const functions = lab.start("functions", { env });
  const workers = Array.from({ length: RANKS }, (_, i) => timedWorker(name, `worker-${i}`));
  const state = await lab.ended(name, 600_000);
  requireSucceeded(state);
  await Promise.all(workers);
  const steps = (await metricsOf(name)).slice(1);
  const workersCounts = perStep(counted(), before);
  const ended = new Promise((resolve) => functions.once("exit", resolve));
  functions.kill("SIGTERM");
  await ended;
  const functionsCounts = perStep(countsSchema.parse(JSON.parse(readFileSync(countsFile, "utf8"))), {});
  show(steps, workersCounts, functionsCounts, bandwidth);
} finally {
  await lab.close();
}

/** Submits a job. Its data and its model's arithmetic play no part. */
async function begin() {
  const spec = linearJob("bench-scale", {
    model: { type: "linear", inputs: SIDE, outputs: SIDE },
    data: { type: "linear", examples: 8 },
    ranks: RANKS,
    shards: SHARDS,
    steps: STEPS,
    optimizer: { type: "adamw", learningRate: 1e-4 },
  });
  await lab.submit(spec);
  return spec;
}

/** A worker that waits instead of computing; its gradient is a multiple of the parameters. */
async function timedWorker(job: string, worker: string): Promise<void> {
  const { cloud } = lab;
  const url = required(await cloud.queues.findTasks(job, 1), `the task queue of ${job}`);
  let theta = new Float32Array();
  let pushMs = 0;
  for (;;) {
    const lease = await cloud.queues.receive(url, new AbortController().signal).catch(() => "gone" as const);
    if (lease === "gone") return;
    if (lease === null) continue;
    const renewing = setInterval(() => {
      // A renewal during the acknowledgement comes too late, which does no harm.
      cloud.queues.lease(url, lease.receipt, LEASE_SECONDS).catch(() => {});
    }, RENEW_MS);
    const task = parseAs(taskSchema, lease.body, "a message");
    if (task.kind === "init") {
      await initialize(cloud, await cloud.jobs.record(job), null);
      await wakeCoordinator(cloud, job, `init-${task.dispatch}`);
    }
    if (task.kind === "gradient") {
      const layout = required(await cloud.jobs.layout(job), `the layout of ${job}`);
      if (theta.length === 0) theta = new Float32Array(layout.parameters);
      const started = performance.now();
      await pull(cloud, { job, version: task.step, layout, theta });
      const pulled = performance.now();
      await sleep(COMPUTE_MS);
      const computed = performance.now();
      const timed = { pullMs: pulled - started, computeMs: computed - pulled, pushMs };
      const report = { loss: 1, tokens: 1, worker, ...timed };
      await push(cloud, { task, layout, gradient: theta, report });
      pushMs = performance.now() - computed;
    }
    clearInterval(renewing);
    await cloud.queues.acknowledge(url, lease.receipt);
  }
}

async function metricsOf(job: string): Promise<Metrics[]> {
  if (STEPS >= HISTORY_BLOCK) throw new Bug("the last manifest has the metrics of one block only");
  return required(await lab.cloud.jobs.manifest(job, STEPS), "the last manifest").metrics;
}

/** Measures the bytes a second of this machine's S3, up and down, with several transfers at once and nothing else. */
async function timeTransfers(): Promise<{ readonly up: number; readonly down: number }> {
  const body = new Uint8Array(TRIAL_BYTES).fill(1);
  const into = Array.from({ length: AT_ONCE }, () => new Uint8Array(TRIAL_BYTES));
  const rate = async (transfer: (i: number, lane: number) => Promise<unknown>) => {
    const started = performance.now();
    const lanes = Array.from({ length: AT_ONCE }, async (_, lane) => {
      for (let i = lane; i < TRIALS; i += AT_ONCE) await transfer(i, lane);
    });
    await Promise.all(lanes);
    return (TRIALS * TRIAL_BYTES * 1000) / (performance.now() - started);
  };
  const { store } = lab.cloud;
  const up = await rate((i) => store.create(`trial/${i}`, body));
  const down = await rate((i, lane) => store.getInto(`trial/${i}`, 0, at(into, lane, "a buffer")));
  await store.removeAll("trial/");
  return { up, down };
}

function perStep(after: Counts, before: Counts): Counts {
  const kinds = Object.entries(after).map(([kind, { requests, bytes }]) => {
    const earlier = before[kind] ?? { requests: 0, bytes: 0 };
    return [
      kind,
      { requests: (requests - earlier.requests) / STEPS, bytes: (bytes - earlier.bytes) / STEPS },
    ] as const;
  });
  return Object.fromEntries(kinds.filter(([, { requests }]) => requests > 0));
}

function show(
  steps: readonly Metrics[],
  workers: Counts,
  functions: Counts,
  { up, down }: { readonly up: number; readonly down: number },
): void {
  const of = (phase: keyof Metrics) => median(steps.map((step) => Number(step[phase])));
  const phases = { pull: of("pullMs"), compute: of("computeMs"), push: of("pushMs"), sum: of("aggregateMs") };
  const stepMs = of("stepMs");
  const title = `${RANKS} ranks x ${SHARDS} shards, ${(SIDE * SIDE).toLocaleString("en")} parameters`;
  report(`${title}, ms a step`, {
    "pull, slowest rank": phases.pull,
    "compute (waited)": phases.compute,
    "push, slowest rank": phases.push,
    "sum and optimizer, slowest shard": phases.sum,
    "a step": stepMs,
  });
  const bytes = (counts: Counts, kind: string) => counts[kind]?.bytes ?? 0;
  const sent = bytes(workers, "S3 PUT") + bytes(functions, "S3 PUT");
  const read = bytes(workers, "S3 GET") + bytes(functions, "S3 GET");
  report("requests a step", {
    ...label("workers", workers),
    ...label("functions", functions),
    "MB sent to S3": sent / 1e6,
    "MB read from S3": read / 1e6,
  });
  const [a, b] = [priceOf(workers), priceOf(functions)];
  report("list price of 1,000 steps, USD (Lambda and instances apart)", {
    "S3, workers": 1000 * a.s3,
    "S3, functions": 1000 * b.s3,
    "SQS, both": 1000 * (a.sqs + b.sqs),
    "Lambda, if a shard takes 1 s at 2 GB": 1000 * SHARDS * (2 * PRICES.lambdaGbSecond),
  });
  const floor = 1000 * (sent / up + read / down) + COMPUTE_MS;
  report("limit: the same bytes at the speed of this S3 alone, one after the other, ms", {
    [`${(up / 1e6).toFixed(0)} MB/s up, ${(down / 1e6).toFixed(0)} MB/s down, and computing`]: floor,
  });
  console.log(`ratio ${(stepMs / floor).toFixed(2)} of a step to that limit`);
}

function label(process: string, counts: Counts): Record<string, number> {
  return Object.fromEntries(
    Object.entries(counts).map(([kind, { requests }]) => [`${kind}, ${process}`, requests]),
  );
}
