import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { closeJob } from "../../cloud/close.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { hasEnded } from "../../cloud/worker-groups.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";
import type { StackTarget } from "./target.ts";

/** The watchdog looks every minute, should the coordinator's message be lost. */
const CLOSED_MS = 100_000;
/** Batch gives a worker 30 s between SIGTERM and SIGKILL. */
const WORKERS_END_MS = 90_000;
const POLL_MS = 1000;

/** Ends a job on a stack. Returns when nothing of it runs or waits any more. */
export async function cancelOnStack(target: StackTarget, state: State): Promise<void> {
  const { cloud, address } = target;
  const { job } = state;
  const ended = isEnded(state) ? state : await cloud.jobs.end(job, "stopped", "cancelled by its user");
  if (isEnded(state)) print([`${job} has ended already`]);
  // What costs money goes first, whatever state the functions are in.
  await cloud.batch?.terminate(job, ended.attempt, "cancelled by its user");
  if (!(await isClosed(target, ended))) {
    await wakeCoordinator(cloud, job, randomUUID());
    if (!(await within(CLOSED_MS, () => isClosed(target, ended)))) await closeJob(cloud, ended);
  }
  print(outcomeLines(ended, address));
  const haveEnded = await within(WORKERS_END_MS, () => noWorkers(target, ended));
  print([
    haveEnded
      ? "none of its workers is left, nor its queue"
      : "its queue is gone; its workers have been told to end, and AWS Batch will end them",
  ]);
}

const isClosed = async ({ cloud }: StackTarget, { job, attempt }: State): Promise<boolean> =>
  (await cloud.store.list(keys.active(job, attempt))).length === 0;

const noWorkers = async ({ cloud }: StackTarget, { job, attempt }: State): Promise<boolean> =>
  ((await cloud.batch?.groups(job, attempt)) ?? []).every(hasEnded);

async function within(ms: number, holds: () => Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await sleep(POLL_MS)) {
    if (await holds()) return true;
  }
  return false;
}
