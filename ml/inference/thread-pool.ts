import { Worker } from "node:worker_threads";
import type { SharedDecoder } from "./shared-decoder.ts";
import { createStepProgram } from "./step-program.ts";
import { type NumberedProgram, number, type Shared, StepScheduler } from "./step-scheduler.ts";

/** To a thread: a decoder to know by a number, or one to forget; null: the end. */
export type Notice = { readonly id: number; readonly decoder: SharedDecoder | null } | null;

export type PoolThreadData = { readonly shared: Shared; readonly thread: number };

/** The threads that share a model's steps, the main one among them. */
export class ThreadPool {
  /** The main thread counts. */
  readonly size: number;
  readonly #schedule = new StepScheduler();
  readonly #threads: readonly Worker[];
  readonly #programs = new Map<number, NumberedProgram>();
  #plans = 0;

  constructor(size: number) {
    this.size = size;
    this.#threads = Array.from({ length: size - 1 }, (_, i) => this.#start(i + 1));
  }

  /** Prepares a decoder's steps; returns its number. */
  add(decoder: SharedDecoder): number {
    const id = ++this.#plans;
    this.#programs.set(id, number(createStepProgram(decoder, 0)));
    this.#tell({ id, decoder });
    return id;
  }

  remove(id: number): void {
    this.#programs.delete(id);
    this.#tell({ id, decoder: null });
  }

  /**
   * Computes a step, in this thread and those that join. Without tokens whose logits are wanted it makes none.
   *
   * @throws Unrecoverable when a thread fails, now or before
   */
  run(id: number, vectors: number, wanted: number): void {
    const { stageOf, startOf } = this.#find(id);
    const total = wanted > 0 ? stageOf.length : (startOf.at(-1) ?? 0);
    this.#schedule.open({ program: id, vectors, wanted, total });
    this.#schedule.work((wantedId) => this.#find(wantedId));
    this.#schedule.finish();
  }

  close(): void {
    this.#tell(null);
  }

  #find(id: number): NumberedProgram {
    const program = this.#programs.get(id);
    if (!program) throw new Error(`there is no decoder ${id}`);
    return program;
  }

  #tell(notice: Notice): void {
    for (const thread of this.#threads) thread.postMessage(notice);
    this.#schedule.tell();
  }

  #start(thread: number): Worker {
    const workerData: PoolThreadData = { shared: this.#schedule.shared, thread };
    const worker = new Worker(threadFile(), { workerData });
    // Outside of a step: the next one says so.
    worker.on("error", (error) => this.#schedule.failure.note(error));
    worker.unref();
    return worker;
  }
}

/** The thread's program: beside this source, or in dist/, whose slices/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./pool-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/slices/") ? "../" : "./";
  return new URL(`${up}pool-thread.js`, import.meta.url);
}
