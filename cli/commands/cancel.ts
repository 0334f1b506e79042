import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { closeJob } from "../../cloud/close.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import { isEnded } from "../../protocol/records.ts";
import { type LocalTarget, openExisting } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { say } from "../terminal/print.ts";

const RUNNER_ENDS_MS = 30_000;
const LOOK_MS = 100;

/** `ps-submit cancel JOB`: ends a job; the version it has reached stays. */
export async function cancel(job: string): Promise<number> {
  const target = await openExisting();
  try {
    const { cloud } = target;
    if (target.kind === "stack") {
      const { cancelOnStack } = await import("../targets/stack-cancel.ts");
      return await cancelOnStack(target, job);
    }
    const { state } = await cloud.jobs.state(job);
    if (isEnded(state)) {
      say([`${job} has ended already`, ...outcomeLines(state)]);
      return exitCodes.succeeded;
    }
    const ended = await cloud.jobs.end(job, "stopped", "cancelled by its user");
    if (await target.running().then((jobs) => jobs.has(job))) {
      await wakeCoordinator(cloud, job, randomUUID());
      await runnerEnds(target, job);
    } else {
      await closeJob(cloud, ended);
    }
    say(outcomeLines(ended));
    return exitCodes.succeeded;
  } finally {
    target.close();
  }
}

async function runnerEnds(target: LocalTarget, job: string): Promise<void> {
  const deadline = Date.now() + RUNNER_ENDS_MS;
  while ((await target.running()).has(job)) {
    if (Date.now() > deadline) {
      throw new Unrecoverable(
        `${job} is cancelled, but the process that runs it has not ended in ${RUNNER_ENDS_MS / 1000} s`,
      );
    }
    await sleep(LOOK_MS);
  }
}
