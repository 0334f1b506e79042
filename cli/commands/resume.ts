import { InvalidInput } from "../../protocol/errors.ts";
import { inBackground } from "../runner/background.ts";
import { isDetached } from "../runner/detach.ts";
import { takeUp, watchAlong } from "../runner/run-to-end.ts";
import { command } from "../targets/address.ts";
import { type LocalTarget, openExisting } from "../targets/target.ts";
import { say } from "../terminal/print.ts";

export type ResumeOptions = {
  readonly steps?: number | undefined;
  readonly workers?: number | undefined;
  readonly detach?: boolean | undefined;
};

/** `ps-submit resume JOB`: goes on with a job that was stopped, failed or interrupted, or trains it further. */
export async function resume(job: string, options: ResumeOptions, args: readonly string[]): Promise<number> {
  const target = await openExisting();
  try {
    const { state } = await target.cloud.jobs.state(job);
    if (state.status === "succeeded" && options.steps === undefined) {
      throw new InvalidInput(
        `${job} has succeeded at step ${state.steps}; to train it further: ${command(`resume ${job} --steps N`)}`,
      );
    }
    if (state.status === "succeeded" && (options.steps ?? 0) <= state.steps) {
      throw new InvalidInput(`--steps must be more than the ${state.steps} steps done, got ${options.steps}`);
    }
    if (target.kind === "stack") {
      const { resumeOnStack } = await import("../targets/stack-submission.ts");
      return await resumeOnStack(target, job, options);
    }
    if (options.detach) return await inBackground(target.home, job, args);
    return await resumeOn(target, job, options);
  } finally {
    target.close();
  }
}

/** To go on with what runs gives it no other workers. */
const noteOnWorkers = (job: string, workers: number | undefined): string[] =>
  workers === undefined ? [] : [`note: to give it other workers: ${command(`workers ${job} ${workers}`)}`];

async function resumeOn(
  target: LocalTarget,
  job: string,
  { steps, workers }: ResumeOptions,
): Promise<number> {
  const record = await target.cloud.jobs.record(job);
  const hold = await target.claim(job);
  if (hold === null) {
    if (steps !== undefined) {
      throw new InvalidInput(`${job} is running; --steps takes effect on a job that is not: cancel it first`);
    }
    const watching = isDetached() ? [] : [`${job} is running in another process; watching it`];
    say([...watching, ...noteOnWorkers(job, workers)]);
    return watchAlong(target, record);
  }
  try {
    return await takeUp({ target, record, hold, workers: workers ?? record.spec.workers, steps });
  } finally {
    hold.release();
  }
}
