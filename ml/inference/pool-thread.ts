import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createStepProgram } from "./step-program.ts";
import { type NumberedProgram, number, StepScheduler } from "./step-scheduler.ts";
import type { Notice, PoolThreadData } from "./thread-pool.ts";

/** A thread that takes slices of a decoder's steps. It never returns to its event loop, so it reads its port itself. */
const { shared, thread } = workerData as PoolThreadData;
const schedule = new StepScheduler(shared);
const programs = new Map<number, NumberedProgram>();

for (;;) {
  const news = schedule.news();
  if (!readNotices()) break;
  schedule.work(find);
  if (schedule.failure.happened) break;
  schedule.idle(news);
}

/** False at the end. */
function readNotices(): boolean {
  for (let received = next(); received; received = next()) {
    const notice: Notice = received.message;
    if (notice === null) return false;
    if (notice.decoder) programs.set(notice.id, number(createStepProgram(notice.decoder, thread)));
    else programs.delete(notice.id);
  }
  return true;
}

function next(): { message: Notice } | undefined {
  return parentPort ? receiveMessageOnPort(parentPort) : undefined;
}

/** A step may come before its decoder was read. */
function find(id: number): NumberedProgram {
  if (!programs.has(id)) readNotices();
  const program = programs.get(id);
  if (!program) throw new Error(`there is no decoder ${id}`);
  return program;
}
