import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { required } from "../../protocol/required.ts";
import { createStepProgram } from "./step-program.ts";
import { type NumberedProgram, numberSlices, StepScheduler } from "./step-scheduler.ts";
import type { PoolMessage, PoolThreadData } from "./thread-pool.ts";

/** A thread that takes slices of decoders' steps. It never returns to its event loop, so it reads its port itself. */
const { memory, thread }: PoolThreadData = workerData;
const port = required(parentPort, "the port of the thread");
const scheduler = new StepScheduler(memory);
const programs = new Map<number, NumberedProgram>();

for (;;) {
  const signal = scheduler.signal();
  if (!readMessages()) break;
  scheduler.work(programOf);
  if (scheduler.failure.happened) break;
  scheduler.waitForSignal(signal);
}

/** Returns false at the end. */
function readMessages(): boolean {
  for (let received = receive(); received; received = receive()) {
    const { message } = received;
    if (message === null) return false;
    if (message.decoder) {
      programs.set(message.id, numberSlices(createStepProgram(message.decoder, thread)));
    } else {
      programs.delete(message.id);
    }
  }
  return true;
}

function receive(): { message: PoolMessage } | undefined {
  return receiveMessageOnPort(port);
}

/** A step may be opened before its decoder's message was read. */
function programOf(id: number): NumberedProgram {
  if (!programs.has(id)) readMessages();
  return required(programs.get(id), "the decoder's program");
}
