import { randomUUID } from "node:crypto";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import type { Claim, LocalTarget } from "../targets/target.ts";
import { type Interruption, pause } from "../terminal/interruption.ts";
import { JobView } from "../terminal/job-view.ts";
import type { Reporter } from "../terminal/reporter.ts";
import { Patience } from "./outage-limit.ts";
import { Fleet } from "./processes.ts";
import { WantedWorkers } from "./worker-count.ts";

export type Run = {
  readonly target: LocalTarget;
  readonly record: JobRecord;
  /** The state that this run starts from. */
  readonly state: State;
  readonly workers: number;
  /** This process's claim on the job. */
  readonly hold: Claim;
  readonly reporter: Reporter;
  readonly interruption: Interruption;
};

const LOOK_MS = 300;
const CLEANED_MS = 10_000;
const CLEAN_LOOK_MS = 50;

/**
 * Runs a job on this machine: starts its processes, shows how it goes, and stops them when the job has ended or the
 * user interrupts it. Returns the job's last state.
 */
export async function runJob(run: Run): Promise<State> {
  const { target, record, state, workers, reporter, interruption } = run;
  let hopeless: string | null = null;
  const fleet = new Fleet(target, { job: record.spec.name, attempt: state.attempt, workers }, (event) => {
    reporter.event(
      event.kind === "died" ? `${event.name} died (${event.how}); starting it again` : event.reason,
    );
    if (event.kind === "hopeless") hopeless ??= event.reason;
  });
  const killAtOnce = () => fleet.kill();
  interruption.second.addEventListener("abort", killAtOnce);
  const claim = keepClaim(run, () => {
    hopeless = null;
    fleet.forgive();
  });
  try {
    const last = await Promise.race([
      claim.lost,
      followToEnd(run, fleet, () => endingOf(interruption, hopeless)),
    ]);
    await fleet.stopWorkers();
    await waitUntilClean(target, last, interruption);
    await fleet.stopFunctions();
    return last;
  } finally {
    interruption.second.removeEventListener("abort", killAtOnce);
    fleet.kill();
    claim.release();
  }
}

type Ending = { readonly status: "stopped" | "failed"; readonly reason: string };

/** Why this runner ends the job by itself; null while it does not. */
function endingOf(interruption: Interruption, hopeless: string | null): Ending | null {
  const signal = interruption.received();
  if (signal === null) return hopeless === null ? null : { status: "failed", reason: hopeless };
  const how = signal === "SIGINT" ? "its user (Ctrl-C)" : signal;
  return { status: "stopped", reason: `interrupted by ${how}` };
}

/** Tells the reporter how the job goes until it has ended, by itself or by `ending`. */
async function followToEnd(run: Run, fleet: Fleet, ending: () => Ending | null): Promise<State> {
  const { target, record, reporter, interruption } = run;
  const wanted = new WantedWorkers(target.home, record.spec.name);
  wanted.forget();
  const { jobs } = target.cloud;
  const view = new JobView(target.cloud, record, Date.now());
  const patience = new Patience();
  for (;;) {
    try {
      const end = ending();
      if (end) await jobs.end(record.spec.name, end.status, end.reason);
      wanted.take((workers) => fleet.resize(workers));
      const state = await view.look(reporter, { alive: fleet.workersAlive, wanted: fleet.workers });
      if (isEnded(state)) return state;
      patience.renew();
    } catch (error) {
      if (interruption.second.aborted) throw error;
      patience.bear(error);
    }
    await pause(LOOK_MS, interruption.first.aborted ? interruption.second : interruption.first);
  }
}

/** Keeps this process's claim through deaths of the emulator, which it starts again. */
function keepClaim(
  { target, record, hold, reporter }: Run,
  onRevived: () => void,
): { lost: Promise<never>; release: () => void } {
  const job = record.spec.name;
  let [current, released] = [hold, false];
  const keep = async (): Promise<never> => {
    for (;;) {
      await current.lost;
      if (released) return new Promise<never>(() => {});
      reporter.event("the emulator is gone; starting it again");
      await target.revive();
      const next = await target.claim(job);
      if (next === null) throw new Unrecoverable(`another process has taken over ${job}; this one leaves it`);
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

/** Waits until the functions have put the job away, which removes its marker. */
async function waitUntilClean({ cloud }: LocalTarget, { job, attempt }: State, { second }: Interruption) {
  const deadline = Date.now() + CLEANED_MS;
  let wakes = 0;
  while (Date.now() < deadline && !second.aborted) {
    try {
      if ((await cloud.store.list(keys.active(job, attempt))).length === 0) return;
      if (wakes++ % 10 === 0) await wakeCoordinator(cloud, job, randomUUID());
    } catch {
      // The job has ended and that is stored; what is left here, the watchdog of the next run puts away.
    }
    await pause(CLEAN_LOOK_MS, second);
  }
}
