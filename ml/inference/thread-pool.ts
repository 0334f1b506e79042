import { Worker } from "node:worker_threads";
import { required } from "../../protocol/required.ts";
import type { SharedDecoder } from "./shared-decoder.ts";
import { createStepProgram } from "./step-program.ts";
import { type NumberedProgram, numberSlices, type SchedulerMemory, StepScheduler } from "./step-scheduler.ts";

/** To a thread: a decoder to add under a number, or one to remove; null: end. */
export type PoolMessage = { readonly id: number; readonly decoder: SharedDecoder | null } | null;

export type PoolThreadData = { readonly memory: SchedulerMemory; readonly thread: number };

/** The threads that share a model's steps, the main one among them. */
export class ThreadPool {
  /** With the main thread. */
  readonly size: number;
  readonly #scheduler = new StepScheduler();
  readonly #threads: readonly Worker[];
  readonly #programs = new Map<number, NumberedProgram>();
  #added = 0;

  constructor(size: number) {
    this.size = size;
    this.#threads = Array.from({ length: size - 1 }, (_, i) => this.#start(i + 1));
  }

  /** Prepares a decoder's steps; returns its number. */
  add(decoder: SharedDecoder): number {
    const id = ++this.#added;
    this.#programs.set(id, numberSlices(createStepProgram(decoder, 0)));
    this.#send({ id, decoder });
    return id;
  }

  remove(id: number): void {
    this.#programs.delete(id);
    this.#send({ id, decoder: null });
  }

  /**
   * Computes a step, in this thread and those that join. Makes no logits where none are wanted.
   *
   * @throws Unrecoverable when a thread fails, now or before
   */
  run(id: number, vectors: number, wanted: number): void {
    const { stageOf, startOf } = this.#programOf(id);
    // The last stage makes the logits.
    const total = wanted > 0 ? stageOf.length : required(startOf.at(-1), "the step's last stage");
    this.#scheduler.open({ program: id, vectors, wanted, total });
    this.#scheduler.work((program) => this.#programOf(program));
    this.#scheduler.finish();
  }

  close(): void {
    this.#send(null);
  }

  #programOf(id: number): NumberedProgram {
    return required(this.#programs.get(id), "the decoder's program");
  }

  #send(message: PoolMessage): void {
    for (const thread of this.#threads) thread.postMessage(message);
    this.#scheduler.wake();
  }

  #start(thread: number): Worker {
    const workerData: PoolThreadData = { memory: this.#scheduler.memory, thread };
    const worker = new Worker(threadFile(), { workerData });
    // The next step throws it.
    worker.on("error", (error) => this.#scheduler.failure.record(error));
    worker.unref();
    return worker;
  }
}

/** The thread's program: beside this source, or in dist/, whose chunks/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./pool-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/chunks/") ? "../" : "./";
  return new URL(`${up}pool-thread.js`, import.meta.url);
}
