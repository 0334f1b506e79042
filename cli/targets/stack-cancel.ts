import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { closeJob } from "../../cloud/close.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { hasEnded } from "../../cloud/worker-groups.ts";
import { keys } from "../../protocol/keys.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { exitCodes } from "../terminal/exit.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { say } from "../terminal/print.ts";
import type { StackTarget } from "./target.ts";

/** The watchdog comes by every minute, should the coordinator's message be lost. */
const CLOSED_MS = 100_000;
/** Batch gives a worker 30 s between SIGTERM and SIGKILL. */
const WORKERS_END_MS = 90_000;
const LOOK_MS = 1000;

/** `ps-submit cancel` on a stack: returns when nothing of the job runs or waits any more. */
export async function cancelOnStack(target: StackTarget, job: string): Promise<number> {
  const { cloud } = target;
  const { state } = await cloud.jobs.state(job);
  const ended = isEnded(state) ? state : await cloud.jobs.end(job, "stopped", "cancelled by its user");
  if (isEnded(state)) say([`${job} has ended already`]);
  // What costs money goes first, whatever state the functions are in.
  await cloud.batch?.terminate(job, ended.attempt, "cancelled by its user");
  if (!(await isClosed(target, ended))) {
    await wakeCoordinator(cloud, job, randomUUID());
    if (!(await within(CLOSED_MS, () => isClosed(target, ended)))) await closeJob(cloud, ended);
  }
  say(outcomeLines(ended));
  const left = !(await within(WORKERS_END_MS, () => noWorkers(target, ended)));
  say([
    left
      ? "its queue is gone; its workers have been told to end, and AWS Batch will end them"
      : "none of its workers is left, nor its queue",
  ]);
  return exitCodes.succeeded;
}

const isClosed = async ({ cloud }: StackTarget, { job, attempt }: State): Promise<boolean> =>
  (await cloud.store.list(keys.active(job, attempt))).length === 0;

const noWorkers = async ({ cloud }: StackTarget, { job, attempt }: State): Promise<boolean> =>
  ((await cloud.batch?.groups(job, attempt)) ?? []).every(hasEnded);

async function within(ms: number, holds: () => Promise<boolean>): Promise<boolean> {
  for (const deadline = Date.now() + ms; Date.now() < deadline; await sleep(LOOK_MS)) {
    if (await holds()) return true;
  }
  return false;
}
