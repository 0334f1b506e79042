import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../cloud/connect.ts";
import { findEmulator } from "../../local/emulator/address.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { at } from "../../protocol/required.ts";
import { type FaultProxy, faultProxy } from "../support/fault-proxy.ts";
import { type Lab, type Role, waitFor } from "../support/lab.ts";
import { clockVariable } from "./clock.ts";
import { type Disk, openDisk } from "./disk.ts";
import { trialJobs } from "./jobs.ts";
import type { Fill, Kill, Stop, Trial, Victim } from "./plan.ts";
import { openTrials } from "./short-leases.ts";
import { type Supervised, supervise } from "./supervised.ts";

const DEADLINE_MS = 120_000;
const WORKERS = 2;
/** Longer than the leases of a trial. */
const DELAY_MS = 1500;

export type Outcome = {
  /** SHA-256 of the parameters at the end. */
  readonly digest: string;
  /** What became of each attempt: "succeeded", or the reason of its end. */
  readonly ends: readonly string[];
  /** How often each fault of the network was met. */
  readonly met: Readonly<Record<string, number>>;
};

/** A trial while it runs. */
type Scene = {
  readonly lab: Lab;
  readonly trial: Trial;
  readonly processes: Readonly<Record<Victim, readonly Supervised[]>>;
  readonly disk: Disk | null;
};

/**
 * Runs a trial's job to its end on an emulator of its own, restarting whatever dies, and checks that nothing is left. A
 * job that a full disk has ended is resumed once the disk is free.
 *
 * @throws when the job ends for another reason, or not in time
 */
export async function runTrial(trial: Trial): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "ps-chaos-"));
  const opened: { end(): Promise<void> }[] = [];
  const opens = <T>(value: T, end: (value: T) => unknown): T => {
    opened.unshift({ end: async () => void (await end(value)) });
    return value;
  };
  try {
    const emulatorPid = () => emulator?.current().pid;
    let emulator: Supervised | undefined;
    const disk = trial.faults.fills ? opens(openDisk(folder, emulatorPid), (disk) => disk.close()) : null;
    mkdirSync(join(folder, "logs"), { recursive: true });
    const environment = environmentOf(trial, Date.now());
    emulator = opens(
      supervise(() => startEmulator(folder, environment("emulator", false))),
      (it) => it.end(),
    );
    const { endpoint } = await waitFor(() => findEmulator(folder), "the emulator", DEADLINE_MS);
    const lab = opens(await openTrials(folder), (it) => it.close());
    const proxy = opens(
      await faultProxy(endpoint, { seed: trial.seed, shares: trial.faults.network ?? {}, delayMs: DELAY_MS }),
      (it) => it.close(),
    );
    // A lab removes its folder, which can't go while a disk is mounted there.
    opens(disk, (it) => it?.close());
    return await perform({ lab, trial, disk, emulator, proxy, environment, opens });
  } catch (error) {
    cpSync(join(folder, "logs"), logsOf(trial), { recursive: true });
    throw error;
  } finally {
    for (const { end } of opened) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where the logs of a trial are kept that failed. */
export const logsOf = ({ kind, seed }: Trial): string => join(tmpdir(), "ps-chaos-failed", `${kind}-${seed}`);

type Stage = {
  readonly lab: Lab;
  readonly trial: Trial;
  readonly disk: Disk | null;
  readonly emulator: Supervised;
  readonly proxy: FaultProxy;
  readonly environment: ReturnType<typeof environmentOf>;
  readonly opens: <T>(value: T, end: (value: T) => unknown) => T;
};

async function perform({ lab, trial, disk, emulator, proxy, environment, opens }: Stage): Promise<Outcome> {
  const { kind, stallMinutes, faults } = trial;
  const spec = trialJobs[trial.job](`${kind}-trial`, { stallMinutes });
  const { name } = spec;
  await lab.submit(spec);
  const through = {
    PS_CACHE_DIR: join(lab.target.home, "cache"),
    ...(faults.network && throughProxy(lab, proxy)),
  };
  const run = (role: Role, index: number) => {
    const start = (isFirst: boolean) => {
      const env = { ...through, ...environment(role, isFirst) };
      return lab.start(role, { job: name, name: `${role}-${index}`, env });
    };
    return opens(supervise(start), (it) => it.end());
  };
  const processes = {
    emulator: [emulator],
    functions: [run("functions", 0)],
    worker: Array.from({ length: WORKERS }, (_, i) => run("worker", i)),
  };
  const disturbance = disturb({ lab, trial, processes, disk }, name);
  const first = await lab.ended(name, DEADLINE_MS);
  await disturbance;
  const ends = [endOf(first)];
  if (first.status !== "succeeded" && isEndOfFullDisk(trial, first)) {
    await lab.resume(first, spec.steps);
    ends.push(endOf(await lab.ended(name, DEADLINE_MS)));
  }
  assert.equal(ends.at(-1), "succeeded");
  if (faults.crash && kind === "crash")
    assert.ok(
      processes[faults.crash.role].some((process) => process.deaths() > 0),
      "the crash point was passed",
    );
  await leftNothing(lab, spec, ends.length);
  return { digest: await lab.digest(name, spec.steps), ends, met: Object.fromEntries(proxy.counts) };
}

const endOf = ({ status, reason }: State): string =>
  status === "succeeded" ? status : `${status}: ${reason}`;

const isEndOfFullDisk = ({ faults }: Trial, { reason }: State): boolean =>
  faults.fills !== undefined && /no room left/i.test(reason ?? "");

/** Returns a function that gives the variables of a process by its role, which bring its clock and its crash. */
function environmentOf({ faults: { crash, clock } }: Trial, start: number) {
  const preload = (name: string) => `--import ${new URL(name, import.meta.url).href}`;
  return (role: Victim, isFirst: boolean): Record<string, string> => {
    const crashes = isFirst && crash?.role === role;
    const jumps = clock && (clock.of === "all" || clock.of === role);
    const preloads = [...(crashes ? [preload("./crash.ts")] : []), ...(jumps ? [preload("./clock.ts")] : [])];
    return {
      ...(crashes && { PS_CRASH: `${crash.point}:${crash.nth}` }),
      ...(jumps && { PS_CLOCK: clockVariable(start, clock.jumps) }),
      ...(preloads.length > 0 && { NODE_OPTIONS: preloads.join(" ") }),
    };
  };
}

/** The variables that lead a process to the emulator through the proxy. */
function throughProxy({ target: { environment } }: Lab, { endpoint }: FaultProxy): Record<string, string> {
  const replaced = (url: string) => url.replace(environment.AWS_ENDPOINT_URL ?? "", endpoint);
  return {
    AWS_ENDPOINT_URL: endpoint,
    PS_UPDATES_URL: replaced(environment.PS_UPDATES_URL),
    PS_DEAD_LETTERS_URL: replaced(environment.PS_DEAD_LETTERS_URL),
  };
}

function startEmulator(folder: string, env: Record<string, string>): ChildProcess {
  const log = openSync(join(folder, "logs", "emulator.log"), "a");
  const child = spawn(process.execPath, ["--enable-source-maps", join("dist", "emulator.js")], {
    env: { ...process.env, PS_DATA_DIR: folder, PS_IDLE_SECONDS: "30", ...env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  return child;
}

async function disturb(scene: Scene, job: string): Promise<void> {
  const { from = null, kills = [], stops = [], fills = [] } = scene.trial.faults;
  if (from !== null) await scene.lab.reached(job, from, DEADLINE_MS);
  await Promise.all([killAll(scene, kills), stopAll(scene, stops), fillAll(scene, fills)]);
}

async function killAll({ processes }: Scene, kills: readonly Kill[]): Promise<void> {
  for (const [i, { victim, afterMs }] of kills.entries()) {
    await sleep(afterMs);
    const group = processes[victim];
    at(group, i % group.length, "a process")
      .current()
      .kill("SIGKILL");
  }
}

/** Stops processes and lets them go on. */
async function stopAll({ processes }: Scene, stops: readonly Stop[]): Promise<void> {
  for (const { victim, afterMs, forMs } of stops) {
    await sleep(afterMs);
    const groups = victim === "all" ? Object.values(processes).flat() : processes[victim];
    const children = groups.map((process) => process.current());
    for (const child of children) child.kill("SIGSTOP");
    await sleep(forMs);
    for (const child of children) child.kill("SIGCONT");
  }
}

async function fillAll({ disk }: Scene, fills: readonly Fill[]): Promise<void> {
  for (const { afterMs, forMs, leave } of fills) {
    await sleep(afterMs);
    disk?.fill(leave);
    await sleep(forMs);
    disk?.free();
  }
}

/** An ended job leaves no queue, no marker and no gradients. */
async function leftNothing({ target }: Lab, { name }: JobSpec, attempts: number): Promise<void> {
  // A client of its own, which remembers no queue.
  const cloud = connect(target.environment);
  const isClosed = async () => ((await cloud.store.list(keys.actives)).length === 0 ? true : null);
  await waitFor(isClosed, `${name} to be closed`, DEADLINE_MS);
  for (let attempt = 1; attempt <= attempts; attempt++)
    assert.equal(await cloud.queues.findTasks(name, attempt), null, "its task queue is gone");
  assert.deepEqual(await cloud.store.list(keys.gradients(name)), [], "no gradients are left");
  cloud.close();
}
