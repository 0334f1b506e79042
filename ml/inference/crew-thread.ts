import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { CrewThread, Notice } from "./crew.ts";
import { programOf } from "./phases.ts";
import { type Numbered, number, Schedule } from "./schedule.ts";

/** A thread that takes chunks of a decoder's steps. It never returns to its event loop, so it reads its port itself. */
const { shared, thread } = workerData as CrewThread;
const schedule = new Schedule(shared);
const programs = new Map<number, Numbered>();

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
    if (notice.plan) programs.set(notice.id, number(programOf(notice.plan, thread)));
    else programs.delete(notice.id);
  }
  return true;
}

function next(): { message: Notice } | undefined {
  return parentPort ? receiveMessageOnPort(parentPort) : undefined;
}

/** A step may come before its plan was read. */
function find(id: number): Numbered {
  if (!programs.has(id)) readNotices();
  const program = programs.get(id);
  if (!program) throw new Error(`there is no plan ${id}`);
  return program;
}
