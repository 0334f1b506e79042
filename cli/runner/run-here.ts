import type { State } from "../../protocol/records.ts";
import { continueJob } from "../submission/attempts.ts";
import type { Attempt, LocalTarget } from "../targets/target.ts";
import { reporterFor } from "../terminal/choose-reporter.ts";
import { codeOfSignal, codeOfStatus } from "../terminal/exit.ts";
import { listenForInterruption } from "../terminal/interruption.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import { reportUnderWay } from "./background.ts";
import { runJob } from "./runner.ts";
import { progressOf, requireMoreSteps } from "./steps.ts";

/** Continues an attempt on this machine whose processes all died. */
export async function continueHere(
  { cloud }: LocalTarget,
  state: State,
  steps = state.steps,
): Promise<State> {
  requireMoreSteps(state, steps);
  print([`${state.job} was interrupted ${progressOf(state)}; resuming it`]);
  const current =
    steps === state.steps ? state : await cloud.jobs.change(state.job, (latest) => ({ ...latest, steps }));
  await continueJob(cloud, current);
  return current;
}

/** Runs an attempt in processes of this machine until the job ends or its user interrupts it. Returns the exit code. */
export async function runHere(
  target: LocalTarget,
  { record, state, workers, claim }: Attempt,
): Promise<number> {
  const interruption = listenForInterruption();
  const reporter = reporterFor(process.stdout);
  reportUnderWay();
  try {
    const last = await runJob({ target, record, state, workers, claim, reporter, interruption });
    reporter.close();
    print(outcomeLines(last, target.address));
    const signal = interruption.received();
    return signal !== null && last.status === "stopped" ? codeOfSignal(signal) : codeOfStatus(last.status);
  } finally {
    reporter.close();
    interruption.close();
  }
}
