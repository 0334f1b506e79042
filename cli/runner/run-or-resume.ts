import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import { beginJob, resumeJob } from "../submission/attempts.ts";
import type { Attempt, Claim, OpenTarget } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import { notesOnSteps, progressOf, requireMoreSteps } from "./steps.ts";

export type Run = {
  readonly target: OpenTarget;
  readonly record: JobRecord;
  readonly claim: Claim;
  readonly workers: number;
  /** The step to train until, when it is another than the job's. */
  readonly steps?: number | undefined;
  readonly detach: boolean;
};

/** Starts a job, or resumes it from wherever it is, and shows it until it ends. Returns the exit code. */
export async function runOrResume(run: Run): Promise<number> {
  const { target, record, claim, workers, steps, detach } = run;
  const state = (await target.cloud.jobs.findState(record.spec.name))?.state ?? null;
  if (state?.status === "succeeded" && (steps === undefined || steps <= state.steps)) {
    claim.release();
    print(outcomeLines(state, target.address));
    return exitCodes.succeeded;
  }
  print(target.notesOn(record));
  if (steps !== undefined) print(notesOnSteps(record.spec, steps));
  return target.runAttempt({ ...(await openAttempt(run, state)), record, workers, claim, detach });
}

async function openAttempt(
  { target, record, steps }: Run,
  state: State | null,
): Promise<Pick<Attempt, "state" | "isNew">> {
  const { cloud, leaseSeconds } = target;
  if (state === null) return { state: await beginJob(cloud, record, leaseSeconds), isNew: true };
  if (!isEnded(state)) return { state: await target.continueAttempt(state, steps), isNew: false };
  const wanted = steps ?? state.steps;
  requireMoreSteps(state, wanted);
  const past = state.status === "succeeded" ? "ended" : `was ${state.status}`;
  print([`${state.job} ${past} ${progressOf(state)}; resuming it`]);
  return { state: await resumeJob(cloud, state, wanted, leaseSeconds), isNew: true };
}
