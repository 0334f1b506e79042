import { setTimeout as sleep } from "node:timers/promises";
import { awakeNow } from "../../protocol/awake-time.ts";
import { InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import type { State } from "../../protocol/records.ts";
import { WorkerCountRequest } from "../runner/worker-count-request.ts";
import { several } from "../terminal/format.ts";
import { print } from "../terminal/print.ts";
import { commandFor } from "./address.ts";
import type { LocalTarget } from "./target.ts";

const ANSWER_DEADLINE_MS = 40_000;
const POLL_MS = 50;

/** Asks the process that runs a job, another one of this machine, to give it more or fewer workers. */
export async function resizeHere(target: LocalTarget, { job }: State, workers: number): Promise<void> {
  const request = new WorkerCountRequest(target.home, job);
  const runs = async () => (await target.running()).has(job);
  if (!(await runs())) {
    const resume = commandFor(target.address, `resume ${job} --workers ${workers}`);
    throw new InvalidInput(`no process runs ${job}; resume it with: ${resume}`);
  }
  request.send(workers);
  const deadline = awakeNow() + ANSWER_DEADLINE_MS;
  while (request.pending) {
    if (awakeNow() > deadline || !(await runs())) {
      request.withdraw();
      throw new Unrecoverable(
        `the process that runs ${job} did not answer; it has as many workers as before`,
      );
    }
    await sleep(POLL_MS);
  }
  print([`${job} has ${several(workers, "worker")} now`]);
}
