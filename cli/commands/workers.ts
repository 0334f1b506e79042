import { setTimeout as sleep } from "node:timers/promises";
import { InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { WantedWorkers } from "../runner/worker-count.ts";
import { command } from "../targets/address.ts";
import { type LocalTarget, openExisting, type StackTarget } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { count, several } from "../terminal/format.ts";
import { say } from "../terminal/print.ts";

const RUNNER_ANSWERS_MS = 40_000;
const LOOK_MS = 50;

/** `ps-submit workers JOB N`: more or fewer workers for a job that runs. */
export async function workers(job: string, wanted: number): Promise<number> {
  const target = await openExisting();
  try {
    const { state } = await target.cloud.jobs.state(job);
    if (isEnded(state)) {
      throw new InvalidInput(
        `${job} has ended; go on with it with: ${command(`resume ${job} --workers ${wanted}`)}`,
      );
    }
    if (target.kind === "stack") await resizeOnStack(target, state, wanted);
    else await resizeHere(target, job, wanted);
    return exitCodes.succeeded;
  } finally {
    target.close();
  }
}

/** Another process of this machine runs the job: ask it. */
async function resizeHere(target: LocalTarget, job: string, wanted: number): Promise<void> {
  const request = new WantedWorkers(target.home, job);
  const runs = async () => (await target.running()).has(job);
  if (!(await runs())) {
    throw new InvalidInput(
      `no process runs ${job}; go on with it with: ${command(`resume ${job} --workers ${wanted}`)}`,
    );
  }
  request.ask(wanted);
  const deadline = Date.now() + RUNNER_ANSWERS_MS;
  while (request.pending) {
    if (Date.now() > deadline || !(await runs())) {
      request.forget();
      throw new Unrecoverable(
        `the process that runs ${job} did not answer; it has as many workers as before`,
      );
    }
    await sleep(LOOK_MS);
  }
  say([`${job} has ${several(wanted, "worker")} now`]);
}

async function resizeOnStack(target: StackTarget, state: State, wanted: number): Promise<void> {
  const { addWorkers, batchOf, FEWER, livingIn } = await import("../targets/stack-workers.ts");
  const { job, attempt } = state;
  const batch = batchOf(target);
  const there = livingIn(await batch.groups(job, attempt));
  if (wanted > there) {
    await addWorkers(target, await target.cloud.jobs.record(job), state, wanted - there);
    say([`${job} has ${several(there, "worker")}; asked AWS Batch for ${count(wanted - there)} more`]);
  } else if (wanted < there) {
    const ended = await batch.reduce(job, attempt, wanted, FEWER);
    const told = ended === 1 ? "is told to give back what it has" : "are told to give back what they have";
    say([`${count(ended)} of ${count(there)} workers ${told} and end`]);
  } else {
    say([`${job} has ${several(there, "worker")} already`]);
  }
}
