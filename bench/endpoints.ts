import { spawn } from "node:child_process";
import { join } from "node:path";
import { Follower } from "../cli/runner/job-follower.ts";
import { beginJob } from "../cli/submission/attempts.ts";
import { createRecord } from "../cli/submission/job-record.ts";
import { type Cloud, connect } from "../cloud/connect.ts";
import type { JobSpec } from "../protocol/job.ts";
import { isEnded, type Metrics } from "../protocol/records.ts";
import { deploy, jobEnvironment } from "../test/support/deployment.ts";
import { linearJob, openLab, provenance, requireSucceeded, waitFor } from "../test/support/lab.ts";
import { localstackOrReason, startLocalstack } from "../test/support/localstack.ts";
import { ministackOrReason, startMinistack } from "../test/support/ministack.ts";
import { median, report } from "./support/report.ts";

/**
 * Measures a step on each S3 and SQS that jobs can run on, the same job on all: 2 ranks, 1 shard, AdamW, a linear model
 * whose pieces of 360 KB are objects and not part of messages. On the first three the functions and workers are processes
 * of this machine; on the last the functions are deployed Lambdas that ministack invokes.
 */

const STEPS = 60;
const WARM_UP = 10;
const DEADLINE_MS = 300_000;

const spec = linearJob("bench-endpoints", {
  model: { type: "linear", inputs: 300, outputs: 300 },
  data: { type: "linear", examples: 64 },
  shards: 1,
  steps: STEPS,
  batch: 8,
});
const embedded = await here(undefined);
show("embedded", embedded, embedded);
const ministack = await ministackOrReason();
if (typeof ministack === "string") console.log(ministack);
else {
  const service = await startMinistack(ministack);
  show("ministack", await here(service.endpoint).finally(service.stop), embedded);
}
const localstack = await localstackOrReason();
if (typeof localstack === "string") console.log(localstack);
else {
  const service = await startLocalstack(localstack);
  show("LocalStack", await here(service.endpoint).finally(service.stop), embedded);
}
if (typeof ministack !== "string") show("ministack, deployed functions", await deployed(ministack), embedded);

/**
 * Runs functions and two workers as processes of this machine.
 *
 * @param endpoint undefined for the embedded one
 */
async function here(endpoint: string | undefined): Promise<Metrics[]> {
  const lab = await openLab(endpoint);
  try {
    await lab.submit(spec);
    lab.start("functions");
    for (const name of ["worker-0", "worker-1"]) lab.start("worker", { job: spec.name, name });
    await lab.ended(spec.name, DEADLINE_MS);
    return await stepsOf(lab.cloud, spec);
  } finally {
    await lab.close();
  }
}

/** Runs the functions as Lambdas, and two workers as processes of this machine. */
async function deployed(installed: Parameters<typeof deploy>[0]): Promise<Metrics[]> {
  const deployment = await deploy(installed);
  const access = { ...deployment.environment, ...jobEnvironment(deployment.parameters) };
  const cloud = connect(access);
  const record = { spec, dataset: null, provenance };
  await createRecord(cloud, record);
  await beginJob(cloud, record);
  const workers = ["worker-0", "worker-1"].map((PS_WORKER) =>
    spawn(process.execPath, [join("dist", "worker.js")], {
      env: { ...process.env, ...access, PS_JOB: spec.name, PS_WORKER, TF_NUM_INTRAOP_THREADS: "1" },
      stdio: "ignore",
    }),
  );
  try {
    const ended = async () => {
      const stored = await cloud.jobs.findState(spec.name);
      return stored && isEnded(stored.state) ? stored.state : null;
    };
    await waitFor(ended, "the job's end", DEADLINE_MS);
    return await stepsOf(cloud, spec);
  } finally {
    for (const worker of workers) worker.kill("SIGKILL");
    cloud.close();
    await deployment.close();
  }
}

async function stepsOf(cloud: Cloud, { name }: JobSpec): Promise<Metrics[]> {
  const { state, steps } = await new Follower(cloud, name).poll();
  requireSucceeded(state);
  return steps.slice(WARM_UP);
}

function show(where: string, steps: readonly Metrics[], reference: readonly Metrics[]): void {
  const of = (phase: "pullMs" | "computeMs" | "pushMs" | "aggregateMs" | "stepMs") =>
    median(steps.map((step) => step[phase]));
  const [pull, compute, push, sum] = [of("pullMs"), of("computeMs"), of("pushMs"), of("aggregateMs")];
  report(`${where}, ms a step`, {
    pull,
    compute,
    push,
    "sum and optimizer": sum,
    "messages, commit and the rest": of("stepMs") - pull - compute - push - sum,
    "a step": of("stepMs"),
  });
  const ratio = of("stepMs") / median(reference.map((step) => step.stepMs));
  console.log(`ratio ${ratio.toFixed(2)} to the embedded one`);
}
