import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { closeJob } from "../../cloud/close.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { awakeNow } from "../../protocol/awake-time.ts";
import { Unrecoverable } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import type { LocalTarget } from "./target.ts";

const RUNNER_DEADLINE_MS = 30_000;
const POLL_MS = 100;

/** Ends a job of this machine. Returns when its runner has ended; closes the job itself when no process runs it. */
export async function cancelHere(target: LocalTarget, state: State): Promise<void> {
  const { cloud, address } = target;
  const { job } = state;
  if (isEnded(state)) {
    print([`${job} has ended already`, ...outcomeLines(state, address)]);
    return;
  }
  const ended = await cloud.jobs.end(job, "stopped", "cancelled by its user");
  if ((await target.running()).has(job)) {
    await wakeCoordinator(cloud, job, randomUUID());
    await waitForRunner(target, job);
  } else {
    await closeJob(cloud, ended);
  }
  print(outcomeLines(ended, address));
}

async function waitForRunner(target: LocalTarget, job: string): Promise<void> {
  const deadline = awakeNow() + RUNNER_DEADLINE_MS;
  while ((await target.running()).has(job)) {
    if (awakeNow() > deadline) {
      throw new Unrecoverable(
        `${job} is cancelled, but the process that runs it has not ended in ${RUNNER_DEADLINE_MS / 1000} s`,
      );
    }
    await sleep(POLL_MS);
  }
}
