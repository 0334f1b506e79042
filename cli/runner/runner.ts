import { randomUUID } from "node:crypto";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { awakeNow } from "../../protocol/awake-time.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import type { Claim, LocalTarget } from "../targets/target.ts";
import { type Interruption, sleep } from "../terminal/interruption.ts";
import { JobView } from "../terminal/job-view.ts";
import type { Reporter } from "../terminal/reporter.ts";
import { JobProcesses } from "./job-processes.ts";
import { OutageTimer } from "./outage-timer.ts";
import { WorkerCountRequest } from "./worker-count-request.ts";

export type Run = {
  readonly target: LocalTarget;
  readonly record: JobRecord;
  /** The state that this run starts from. */
  readonly state: State;
  readonly workers: number;
  /** This process's claim on the job. */
  readonly claim: Claim;
  readonly reporter: Reporter;
  readonly interruption: Interruption;
};

const POLL_MS = 300;
const CLOSED_DEADLINE_MS = 10_000;
const CLOSED_POLL_MS = 50;
const POLLS_PER_WAKE = 10;

/**
 * Runs a job on this machine: starts its processes, shows how it goes, and stops them when the job has ended or the
 * user interrupts it. Returns the job's last state.
 */
export async function runJob(run: Run): Promise<State> {
  const { target, record, state, workers, reporter, interruption } = run;
  let gaveUp: string | null = null;
  const plan = { job: record.spec.name, attempt: state.attempt, workers };
  const processes = new JobProcesses(target, plan, (event) => {
    reporter.event(
      event.kind === "died" ? `${event.name} died (${event.how}); starting it again` : event.reason,
    );
    if (event.kind === "gave up") gaveUp ??= event.reason;
  });
  const killAtOnce = () => processes.kill();
  interruption.second.addEventListener("abort", killAtOnce);
  const claim = keepClaim(run, () => {
    gaveUp = null;
    processes.resetFailures();
  });
  try {
    const last = await Promise.race([
      claim.lost,
      showUntilEnded(run, processes, () => endingOf(interruption, gaveUp)),
    ]);
    await processes.stopWorkers();
    await waitUntilClosed(target, last, interruption);
    await processes.stopFunctions();
    return last;
  } finally {
    interruption.second.removeEventListener("abort", killAtOnce);
    processes.kill();
    claim.release();
  }
}

type Ending = { readonly status: "stopped" | "failed"; readonly reason: string };

/** Returns why this runner ends the job by itself; null while it does not. */
function endingOf(interruption: Interruption, gaveUp: string | null): Ending | null {
  const signal = interruption.received();
  if (signal === null) return gaveUp === null ? null : { status: "failed", reason: gaveUp };
  const how = signal === "SIGINT" ? "its user (Ctrl-C)" : signal;
  return { status: "stopped", reason: `interrupted by ${how}` };
}

/** Shows the job until it has ended, by itself or by `ending`. Returns its last state. */
async function showUntilEnded(
  run: Run,
  processes: JobProcesses,
  ending: () => Ending | null,
): Promise<State> {
  const { target, record, reporter, interruption } = run;
  const request = new WorkerCountRequest(target.home, record.spec.name);
  request.withdraw();
  const { jobs } = target.cloud;
  const view = new JobView(target.cloud, record, Date.now());
  const outage = new OutageTimer();
  for (;;) {
    try {
      const end = ending();
      if (end) await jobs.end(record.spec.name, end.status, end.reason);
      request.answer((workers) => processes.resize(workers));
      const seen = { alive: processes.workersAlive, wanted: processes.workers };
      const state = await view.poll(reporter, seen);
      if (isEnded(state)) return state;
      outage.reset();
    } catch (error) {
      if (interruption.second.aborted) throw error;
      outage.check(error);
    }
    await sleep(POLL_MS, interruption.first.aborted ? interruption.second : interruption.first);
  }
}

/** Keeps this process's claim through deaths of the emulator, which it starts again. */
function keepClaim(
  { target, record, claim, reporter }: Run,
  onRevived: () => void,
): { lost: Promise<never>; release: () => void } {
  const job = record.spec.name;
  let [current, released] = [claim, false];
  const keep = async (): Promise<never> => {
    for (;;) {
      await current.lost;
      if (released) return new Promise<never>(() => {});
      reporter.event("the emulator is gone; starting it again");
      await target.revive();
      const next = await target.claim(job);
      if (next === null) throw new Unrecoverable(`another process runs ${job} now; this one ends`);
      current = next;
      onRevived();
    }
  };
  const release = () => {
    released = true;
    current.release();
  };
  return { lost: keep(), release };
}

/** Waits until the functions have closed the job, which removes its marker. */
async function waitUntilClosed({ cloud }: LocalTarget, { job, attempt }: State, { second }: Interruption) {
  const deadline = awakeNow() + CLOSED_DEADLINE_MS;
  let polls = 0;
  while (awakeNow() < deadline && !second.aborted) {
    try {
      if ((await cloud.store.list(keys.active(job, attempt))).length === 0) return;
      if (polls++ % POLLS_PER_WAKE === 0) await wakeCoordinator(cloud, job, randomUUID());
    } catch {
      // The job has ended and that is stored; the watchdog of the next run closes it.
    }
    await sleep(CLOSED_POLL_MS, second);
  }
}
