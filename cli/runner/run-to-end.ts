import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import { beginJob, continueJob, resumeJob } from "../submission/create.ts";
import { command } from "../targets/address.ts";
import type { Claim, LocalTarget, Target } from "../targets/target.ts";
import { codeOfSignal, codeOfStatus, exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { listenForInterruption } from "../terminal/interruption.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { say } from "../terminal/print.ts";
import { reporterFor } from "../terminal/reporter.ts";
import { isDetached, reportUnderWay } from "./detach.ts";
import { runJob } from "./runner.ts";
import { watchJob } from "./watcher.ts";

export type TakeUp = {
  readonly target: LocalTarget;
  readonly record: JobRecord;
  readonly hold: Claim;
  readonly workers: number;
  /** More steps than the job had so far. */
  readonly steps?: number | undefined;
};

/** Begins a job, or goes on with it from wherever it stands, until it ends. Returns the exit code. */
export async function takeUp({ target, record, hold, workers, steps }: TakeUp): Promise<number> {
  const { name } = record.spec;
  const found = await target.cloud.jobs.findState(name);
  if (found?.state.status === "succeeded" && (steps ?? 0) <= found.state.steps) {
    hold.release();
    say(outcomeLines(found.state));
    return exitCodes.succeeded;
  }
  if (steps !== undefined) say(notesOn(record.spec, steps));
  const state = found
    ? await goOn(target, found.state, steps ?? found.state.steps)
    : await beginJob(target.cloud, record);
  const interruption = listenForInterruption();
  const reporter = reporterFor(process.stdout);
  reportUnderWay();
  try {
    const last = await runJob({ target, record, state, workers, hold, reporter, interruption });
    reporter.close();
    say(outcomeLines(last));
    const signal = interruption.received();
    return signal !== null && last.status === "stopped" ? codeOfSignal(signal) : codeOfStatus(last.status);
  } finally {
    reporter.close();
    interruption.close();
  }
}

/** What a person who asks for so many steps may not expect. */
export function notesOn({ optimizer }: JobSpec, steps: number): string[] {
  const { type, decaySteps, minLearningRate } = optimizer.schedule;
  if (type === "constant" || minLearningRate > 0 || steps <= decaySteps) return [];
  return [`note: the learning rate is 0 from step ${count(decaySteps)} on, so later steps change nothing`];
}

/** @throws InvalidInput when so many steps are done already */
export function requireMoreSteps({ version, steps: known }: State, steps: number): void {
  if (steps > (version ?? 0) || steps === known) return;
  throw new InvalidInput(`--steps must be more than the ${count(version ?? 0)} steps done, got ${steps}`);
}

async function goOn({ cloud }: LocalTarget, state: State, steps: number): Promise<State> {
  const { job, version } = state;
  requireMoreSteps(state, steps);
  const at = `at step ${count(version ?? 0)} of ${count(state.steps)}`;
  if (isEnded(state)) {
    say([`${job} ${state.status === "succeeded" ? "ended" : `was ${state.status}`} ${at}; going on`]);
    return resumeJob(cloud, state, steps);
  }
  say([`${job} was interrupted ${at}; going on`]);
  const current =
    steps === state.steps ? state : await cloud.jobs.change(job, (known) => ({ ...known, steps }));
  await continueJob(cloud, current);
  return current;
}

/** Watches a job that another process runs, until it ends or the user has seen enough. Returns the exit code. */
export async function watchAlong(target: Target, record: JobRecord): Promise<number> {
  const { name } = record.spec;
  if (isDetached()) {
    say([`${name} is running already; watch it with: ${command(`watch ${name}`)}`]);
    return exitCodes.succeeded;
  }
  const interruption = listenForInterruption();
  const reporter = reporterFor(process.stdout);
  try {
    const { state, how } = await watchJob(target, record, reporter, interruption);
    reporter.close();
    if (how === "left") {
      say([
        `${name} goes on; watch it again with: ${command(`watch ${name}`)}, end it with: ${command(`cancel ${name}`)}`,
      ]);
      return exitCodes.interrupted;
    }
    say(outcomeLines(state));
    return how === "abandoned" ? exitCodes.stopped : codeOfStatus(state.status);
  } finally {
    reporter.close();
    interruption.close();
  }
}
