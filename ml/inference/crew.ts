import { Worker } from "node:worker_threads";
import { programOf } from "./phases.ts";
import type { DecoderPlan } from "./plan.ts";
import { type Numbered, number, Schedule, type Shared } from "./schedule.ts";

/** To a thread: a plan to know by a number, or one to forget; null: the end. */
export type Notice = { readonly id: number; readonly plan: DecoderPlan | null } | null;

export type CrewThread = { readonly shared: Shared; readonly thread: number };

/** The threads that share a model's steps, the main one among them. */
export class Crew {
  /** The main thread counts. */
  readonly size: number;
  readonly #schedule = new Schedule();
  readonly #threads: readonly Worker[];
  readonly #programs = new Map<number, Numbered>();
  #plans = 0;

  constructor(size: number) {
    this.size = size;
    this.#threads = Array.from({ length: size - 1 }, (_, i) => this.#start(i + 1));
  }

  /** Prepares a plan's steps; returns its number. */
  add(plan: DecoderPlan): number {
    const id = ++this.#plans;
    this.#programs.set(id, number(programOf(plan, 0)));
    this.#tell({ id, plan });
    return id;
  }

  remove(id: number): void {
    this.#programs.delete(id);
    this.#tell({ id, plan: null });
  }

  /**
   * Computes a step, in this thread and those that join. Without tokens whose logits are wanted it makes none.
   *
   * @throws Unrecoverable when a thread fails, now or before
   */
  run(id: number, vectors: number, wanted: number): void {
    const { phaseOf, startOf } = this.#find(id);
    const total = wanted > 0 ? phaseOf.length : (startOf.at(-1) ?? 0);
    this.#schedule.open({ program: id, vectors, wanted, total });
    this.#schedule.work((wantedId) => this.#find(wantedId));
    this.#schedule.finish();
  }

  close(): void {
    this.#tell(null);
  }

  #find(id: number): Numbered {
    const program = this.#programs.get(id);
    if (!program) throw new Error(`there is no plan ${id}`);
    return program;
  }

  #tell(notice: Notice): void {
    for (const thread of this.#threads) thread.postMessage(notice);
    this.#schedule.tell();
  }

  #start(thread: number): Worker {
    const workerData: CrewThread = { shared: this.#schedule.shared, thread };
    const worker = new Worker(threadFile(), { workerData });
    // Outside of a step: the next one says so.
    worker.on("error", (error) => this.#schedule.failure.note(error));
    worker.unref();
    return worker;
  }
}

/** The thread's program: beside this source, or in dist/, whose chunks/ this may be bundled into. */
function threadFile(): URL {
  if (import.meta.url.endsWith(".ts")) return new URL("./crew-thread.ts", import.meta.url);
  const up = import.meta.url.includes("/chunks/") ? "../" : "./";
  return new URL(`${up}crew-thread.js`, import.meta.url);
}
