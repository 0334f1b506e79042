import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SetQueueAttributesCommand, SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig, connect } from "../../cloud/connect.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import { kill, type Lab, linearJob, openLab, type Role, waitFor } from "../support/lab.ts";
import type { Point } from "./crash.ts";

/** A gradient piece of this job rides in its message. */
export const inlineJob = (name: string): JobSpec =>
  linearJob(name, { steps: 12, evaluateEvery: 4, checkpointEvery: 6 });

/** A gradient piece of this job, 350 kB, is an object of its own. */
export const storedJob = (name: string): JobSpec =>
  linearJob(name, { model: { type: "linear", inputs: 256, outputs: 1024 }, steps: 6, evaluateEvery: 3 });

const DEADLINE_MS = 90_000;

/** What is killed, when: at a point of its own code, or from outside. */
export type Trial = {
  readonly title: string;
  readonly job: (name: string) => JobSpec;
  /** Every first process of the role dies there. */
  readonly crash?: { readonly role: Role; readonly point: Point; readonly nth: number };
  readonly kills?: readonly { readonly victim: Role | "emulator"; readonly afterMs: number }[];
};

/** A lab for trials, with leases so short that a killed process is missed within a second or two. */
export async function openTrials(): Promise<Lab> {
  const lab = await openLab();
  const sqs = new SQSClient(clientConfig(lab.target.environment));
  await shortLease(sqs, lab.cloud.updates);
  const submit = lab.submit;
  return {
    ...lab,
    async submit(spec, dataset) {
      const state = await submit(spec, dataset);
      const url = await lab.cloud.queues.findTasks(spec.name, state.attempt);
      await shortLease(sqs, url ?? "");
      return state;
    },
    async close() {
      sqs.destroy();
      await lab.close();
    },
  };
}

async function shortLease(sqs: SQSClient, QueueUrl: string): Promise<void> {
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { VisibilityTimeout: "1" } }));
}

/** A lab, and for both kinds of job the digest that every trial of it must end with. */
export async function prepareTrials(): Promise<{ lab: Lab; expected: ReadonlyMap<Trial["job"], string> }> {
  const lab = await openTrials();
  const expected = new Map<Trial["job"], string>();
  expected.set(inlineJob, await undisturbed(lab, inlineJob("inline-undisturbed")));
  expected.set(storedJob, await undisturbed(lab, storedJob("stored-undisturbed")));
  return { lab, expected };
}

/** Runs a job to its end without disturbing it. @returns the digest of its last version */
export async function undisturbed(lab: Lab, spec: JobSpec): Promise<string> {
  await runTrial(lab, { title: "undisturbed", job: () => spec }, spec.name);
  return lab.digest(spec.name, spec.steps);
}

/** Runs a trial to the job's end, restarting whatever dies, and checks what it left. @returns the last digest */
export async function runTrial(lab: Lab, trial: Trial, name: string): Promise<string> {
  const spec = trial.job(name);
  await lab.submit(spec);
  const run = (role: Role, index: number) =>
    supervise((first) =>
      lab.start(role, {
        job: name,
        name: `${role}-${index}`,
        env: first ? crashEnvironment(trial, role) : {},
      }),
    );
  const processes = { functions: [run("functions", 0)], worker: [run("worker", 0), run("worker", 1)] };
  const everyone = [...processes.functions, ...processes.worker];
  try {
    const disturbance = disturb(lab, trial, processes);
    const state = await lab.ended(name, DEADLINE_MS);
    await disturbance;
    assert.equal(state.status, "succeeded", state.reason ?? "");
    if (trial.crash)
      assert.ok(
        everyone.some((process) => process.deaths() > 0),
        "the crash point was passed",
      );
    await leftNothing(lab, spec);
    return await lab.digest(name, spec.steps);
  } finally {
    await Promise.all(everyone.map((process) => process.end()));
  }
}

function crashEnvironment({ crash }: Trial, role: Role): Record<string, string> {
  if (crash?.role !== role) return {};
  const preload = new URL("./crash.ts", import.meta.url).href;
  return { PS_CRASH: `${crash.point}:${crash.nth}`, NODE_OPTIONS: `--import ${preload}` };
}

type Supervised = { current(): ChildProcess; deaths(): number; end(): Promise<void> };

/** Keeps a process running: each time it dies, it is started anew. */
function supervise(start: (first: boolean) => ChildProcess): Supervised {
  let ended = false;
  let deaths = 0;
  let child = start(true);
  const watch = () =>
    child.once("exit", (_code, signal) => {
      if (ended) return;
      if (signal === "SIGKILL") deaths++;
      child = start(false);
      watch();
    });
  watch();
  return {
    current: () => child,
    deaths: () => deaths,
    async end() {
      ended = true;
      await kill(child);
    },
  };
}

async function disturb(
  lab: Lab,
  { kills = [] }: Trial,
  processes: Record<Role, Supervised[]>,
): Promise<void> {
  for (const [i, { victim, afterMs }] of kills.entries()) {
    await delay(afterMs);
    if (victim === "emulator") await killEmulator(lab);
    else processes[victim][i % processes[victim].length]?.current().kill("SIGKILL");
  }
}

export async function killEmulator({ target }: Lab): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(target.home, "emulator.json"), "utf8"));
  process.kill(pid, "SIGKILL");
  await target.revive();
}

/** An ended job leaves no queue, no marker, no gradients, and no more versions than it says. */
async function leftNothing({ target }: Lab, spec: JobSpec): Promise<void> {
  const { name } = spec;
  // A client of its own, which remembers no queue.
  const cloud = connect(target.environment);
  await waitFor(
    async () => ((await cloud.store.list(keys.active(name, 1))).length === 0 ? true : null),
    `${name} to be closed`,
    DEADLINE_MS,
  );
  assert.equal(await cloud.queues.findTasks(name, 1), null, "its task queue is gone");
  assert.deepEqual(await cloud.store.list(keys.gradients(name)), [], "no gradients are left");
  cloud.close();
}
