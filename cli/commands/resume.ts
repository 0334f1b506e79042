import { InvalidInput } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { isInBackground } from "../runner/background.ts";
import { runOrResume } from "../runner/run-or-resume.ts";
import { watchUntilEnded } from "../runner/watch-job.ts";
import { goBack } from "../submission/go-back.ts";
import { commandFor } from "../targets/address.ts";
import { openExisting } from "../targets/locate.ts";
import { withReopening } from "../targets/reopening.ts";
import type { OpenTarget, Target } from "../targets/target.ts";
import { count } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";

export type ResumeOptions = {
  readonly steps?: number | undefined;
  /** The version to go back to. */
  readonly from?: number | undefined;
  readonly workers?: number | undefined;
  readonly detach?: boolean | undefined;
};

/**
 * `ps-submit resume JOB`: resumes a job that was stopped, failed or interrupted, trains it further, or goes back to a
 * version before one that is damaged.
 */
export async function resume(
  target: Target,
  job: string,
  options: ResumeOptions,
  args: readonly string[],
): Promise<number> {
  return withReopening(
    () => openExisting(target),
    async (opened) => {
      const { state } = await opened.cloud.jobs.state(job);
      if (options.from === undefined) requireFurtherSteps(target, state, options.steps);
      else requireEarlier(target, state, options.from);
      const background = options.detach ? await target.runInBackground(job, args) : null;
      return background ?? resumeOn(opened, job, options);
    },
  );
}

/** @throws InvalidInput for a job that has succeeded and is not to make further steps */
function requireFurtherSteps({ address }: Target, state: State, steps: number | undefined): void {
  const { job, status } = state;
  if (status !== "succeeded") return;
  if (steps === undefined) {
    const further = commandFor(address, `resume ${job} --steps N`);
    throw new InvalidInput(`${job} has succeeded at step ${state.steps}; to train it further: ${further}`);
  }
  if (steps > state.steps) return;
  throw new InvalidInput(`--steps must be more than the ${state.steps} steps done, got ${steps}`);
}

/** @throws InvalidInput for a job that has not ended, and for a version that it has not reached */
function requireEarlier({ address }: Target, state: State, from: number): void {
  const { job, status, version } = state;
  if (!isEnded(state)) {
    const cancel = commandFor(address, `cancel ${job}`);
    throw new InvalidInput(`${job} is ${status}; --from takes a job that has ended; end it with: ${cancel}`);
  }
  if (version === null || from > version) {
    throw new InvalidInput(`--from must be at most ${version ?? "a version, and it has none"}, got ${from}`);
  }
}

async function resumeOn(
  target: OpenTarget,
  job: string,
  { steps, from, workers, detach = false }: ResumeOptions,
): Promise<number> {
  const record = await target.cloud.jobs.record(job);
  const claim = await target.claim(job);
  if (claim === null) {
    if (steps !== undefined) {
      throw new InvalidInput(`${job} is running; --steps takes effect on a job that is not: cancel it first`);
    }
    if (!isInBackground()) print([`${job} is running in another process; watching it`]);
    if (workers !== undefined) {
      print([`note: to give it other workers: ${commandFor(target.address, `workers ${job} ${workers}`)}`]);
    }
    return watchUntilEnded(target, record);
  }
  try {
    if (from !== undefined) {
      print([`${job} goes back to version ${count(from)}: checking it, and removing what was made after it`]);
      await goBack(target.cloud, job, from);
    }
    const { spec } = record;
    const parameters = (await target.cloud.jobs.layout(job))?.parameters ?? null;
    const given = target.workersFor({ asked: workers ?? spec.workers, ranks: spec.ranks, parameters });
    print(given.notes.map((note) => `note: ${note}`));
    return await runOrResume({ target, record, claim, steps, detach, workers: given.workers });
  } finally {
    claim.release();
  }
}
