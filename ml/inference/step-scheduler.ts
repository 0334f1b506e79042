import { Bug, InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { SharedFailure } from "./shared-failure.ts";
import type { Stage } from "./stages.ts";
import type { StepProgram } from "./step-program.ts";
import type { Workspace } from "./workspace.ts";

/**
 * How threads share the slices of a step. Slices are numbered through all stages. A thread takes the next one, waits
 * until all slices of the stages before are done, computes it and counts it as done. So the main thread can do a step
 * alone, and others join whenever the system lets them run: nobody waits for a thread that has no slice.
 *
 * When a slice fails, or its thread is gone, all threads stop, and the step ends with the reason.
 */
const NEXT = 0;
const DONE = 1;
/** Grows with each step and each message; idle threads sleep on it. */
const SIGNAL = 2;
const TOTAL = 3;
const PROGRAM = 4;
const VECTORS = 5;
const WANTED = 6;
const SLEEPERS = 7;
const WORDS = 16;

/** `NEXT` has the step's number in its upper bits, so that a thread that is late takes no slice of a later step. */
const SLICE_BITS = 16;
const SLICE_MASK = 2 ** SLICE_BITS - 1;

/** How often a thread checks before it sleeps: some 20 microseconds. */
const SPINS = 5000;
/** Between two steps a thread stays awake longer than that. */
const IDLE_SPINS = 10 * SPINS;

const SECOND_MS = 1000;
/** No slice takes so long. Only seconds in which the system lets this process run are counted. */
const STALLED_SECONDS = 120;

/** A program with its slices numbered. */
export type NumberedProgram = {
  readonly workspace: Pick<Workspace, "vectors" | "wanted">;
  /** The stage of each slice. */
  readonly stageOf: readonly Stage[];
  /** The number of the first slice of each slice's stage. */
  readonly startOf: readonly number[];
};

export function numberSlices({ workspace, stages }: StepProgram): NumberedProgram {
  const stageOf: Stage[] = [];
  const startOf: number[] = [];
  for (const stage of stages) {
    const start = stageOf.length;
    for (let i = 0; i < stage.slices; i++) {
      stageOf.push(stage);
      startOf.push(start);
    }
  }
  if (stageOf.length < SLICE_MASK) return { workspace, stageOf, startOf };
  throw new InvalidInput(
    `the model is too deep to generate text: a step must have at most ${SLICE_MASK - 1} slices, got ${stageOf.length}`,
  );
}

export type Step = {
  /** The program's number in its pool. */
  readonly program: number;
  readonly vectors: number;
  readonly wanted: number;
  /** Computes the slices below this one. */
  readonly total: number;
};

/** The memory of a scheduler, shared by its threads. */
export type SchedulerMemory = {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly failure: Int32Array<SharedArrayBuffer>;
};

export class StepScheduler {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly failure: SharedFailure;
  readonly #stalledSeconds: number;

  /**
   * @param memory of the scheduler in another thread
   * @param stalledSeconds without any progress after which the thread that is waited for is gone
   */
  constructor(memory?: SchedulerMemory, stalledSeconds = STALLED_SECONDS) {
    this.words = memory?.words ?? new Int32Array(new SharedArrayBuffer(4 * WORDS));
    this.failure = new SharedFailure(memory?.failure);
    this.#stalledSeconds = stalledSeconds;
    if (!memory) Atomics.store(this.words, NEXT, SLICE_MASK);
  }

  get memory(): SchedulerMemory {
    return { words: this.words, failure: this.failure.words };
  }

  /**
   * Opens a step to all threads; the one before must be done.
   *
   * @throws Unrecoverable when a thread has failed
   */
  open({ program, vectors, wanted, total }: Step): void {
    const { words } = this;
    this.failure.check();
    // Nobody takes a slice while the step is written.
    const step = ((Atomics.load(words, NEXT) >> SLICE_BITS) + 1) << SLICE_BITS;
    Atomics.store(words, NEXT, step | SLICE_MASK);
    Atomics.store(words, DONE, 0);
    Atomics.store(words, TOTAL, total);
    Atomics.store(words, PROGRAM, program);
    Atomics.store(words, VECTORS, vectors);
    Atomics.store(words, WANTED, wanted);
    Atomics.store(words, NEXT, step);
    this.wake();
  }

  /** Wakes the threads that are idle. */
  wake(): void {
    Atomics.add(this.words, SIGNAL, 1);
    Atomics.notify(this.words, SIGNAL);
  }

  /** Computes slices as long as there are any, and none has failed. */
  work(programOf: (id: number) => NumberedProgram): void {
    let prepared: Stage | null = null;
    let preparedIn = -1;
    for (let taken = this.#take(); taken !== -1; taken = this.#take()) {
      const { words } = this;
      try {
        const { workspace, stageOf, startOf } = programOf(Atomics.load(words, PROGRAM));
        const [slice, step] = [taken & SLICE_MASK, taken >> SLICE_BITS];
        const [stage, start] = [stageOf[slice], startOf[slice]];
        if (stage === undefined || start === undefined) throw new Bug(`there is no slice ${slice}`);
        this.#waitForDone(start);
        if (stage !== prepared || step !== preparedIn) {
          workspace.vectors = Atomics.load(words, VECTORS);
          workspace.wanted = Atomics.load(words, WANTED);
          stage.prepare?.();
          [prepared, preparedIn] = [stage, step];
        }
        stage.run(slice - start);
      } catch (error) {
        this.failure.record(error);
      } finally {
        Atomics.add(words, DONE, 1);
        if (Atomics.load(words, SLEEPERS) > 0) Atomics.notify(words, DONE);
      }
    }
  }

  /**
   * Waits until all slices of the step are done.
   *
   * @throws Unrecoverable when one has failed, with the reason
   */
  finish(): void {
    this.#waitForDone(Atomics.load(this.words, TOTAL));
    this.failure.check();
  }

  /** Waits for a step or a message after those that `signal` counted. */
  waitForSignal(signal: number): void {
    for (let spins = 0; spins < IDLE_SPINS; spins++) if (this.signal() !== signal) return;
    Atomics.wait(this.words, SIGNAL, signal);
  }

  /** Counts the steps and messages so far. */
  signal(): number {
    return Atomics.load(this.words, SIGNAL);
  }

  /** Takes a slice for this thread: returns its step and number, or -1 when none is left. */
  #take(): number {
    const { words } = this;
    for (;;) {
      if (this.failure.happened) return -1;
      const next = Atomics.load(words, NEXT);
      if ((next & SLICE_MASK) >= Atomics.load(words, TOTAL)) return -1;
      if (Atomics.compareExchange(words, NEXT, next, next + 1) === next) return next;
    }
  }

  #waitForDone(count: number): void {
    const { words } = this;
    for (let spins = 0, seconds = 0; ; spins++) {
      const done = Atomics.load(words, DONE);
      if (done >= count) return;
      if (spins < SPINS) continue;
      this.failure.check();
      Atomics.add(words, SLEEPERS, 1);
      const result = Atomics.wait(words, DONE, done, SECOND_MS);
      Atomics.sub(words, SLEEPERS, 1);
      seconds = result === "timed-out" ? seconds + 1 : 0;
      if (seconds >= this.#stalledSeconds) {
        this.failure.record(new Unrecoverable(`no part of a step was done for ${seconds} s`));
      }
    }
  }
}
