import { SharedFailure } from "./shared-failure.ts";
import type { Stage } from "./stages.ts";
import type { StepProgram } from "./step-program.ts";
import type { Workspace } from "./workspace.ts";

/**
 * How threads share the slices of a step. Chunks are numbered through all stages; a thread takes the next one, waits
 * until all slices of the stages before are done, computes it and counts it as done. So the main thread can do a step
 * alone, and others join whenever the system lets them run: nobody waits for a thread that has nothing in hand.
 *
 * When a slice fails, or its thread is gone, all of them stop, and the step ends with the reason.
 */
const NEXT = 0;
const DONE = 1;
/** Grows with each step, and when there is something to read: what idle threads sleep on. */
const NEWS = 2;
const TOTAL = 3;
const PROGRAM = 4;
const VECTORS = 5;
const WANTED = 6;
const SLEEPERS = 7;
const WORDS = 16;

/** `NEXT` is the step's number above and the next slice below these bits: a thread that is late takes nothing. */
const SLICE_BITS = 16;
const SLICE_MASK = 2 ** SLICE_BITS - 1;

/** So often a thread looks before it sleeps: some 20 microseconds. */
const LOOKS = 5000;
/** Between two steps a thread stays awake longer than that. */
const IDLE_LOOKS = 10 * LOOKS;

const SECOND = 1000;
/** No slice takes so many seconds; the time in which the system lets this process run is what counts. */
const PATIENCE = 120;

/** A program with its slices numbered. */
export type NumberedProgram = {
  readonly workspace: Pick<Workspace, "vectors" | "wanted">;
  readonly stageOf: readonly Stage[];
  /** The number of the first slice of the stage that a slice is in. */
  readonly startOf: readonly number[];
};

export function number({ workspace, stages }: StepProgram): NumberedProgram {
  const stageOf: Stage[] = [];
  const startOf: number[] = [];
  for (const stage of stages) {
    const start = stageOf.length;
    for (let i = 0; i < stage.slices; i++) {
      stageOf.push(stage);
      startOf.push(start);
    }
  }
  if (stageOf.length >= SLICE_MASK) throw new RangeError(`a step has too many slices, ${stageOf.length}`);
  return { workspace, stageOf, startOf };
}

export type Step = {
  readonly program: number;
  readonly vectors: number;
  readonly wanted: number;
  /** Chunks, from the first. */
  readonly total: number;
};

/** The memory of a schedule. */
export type Shared = {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly failure: Int32Array<SharedArrayBuffer>;
};

export class StepScheduler {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly failure: SharedFailure;
  readonly #patience: number;

  /**
   * @param shared of a schedule in another thread
   * @param patience seconds without any progress after which the thread that was waited for is gone
   */
  constructor(shared?: Shared, patience = PATIENCE) {
    this.words = shared?.words ?? new Int32Array(new SharedArrayBuffer(4 * WORDS));
    this.failure = new SharedFailure(shared?.failure);
    this.#patience = patience;
    if (!shared) Atomics.store(this.words, NEXT, SLICE_MASK);
  }

  get shared(): Shared {
    return { words: this.words, failure: this.failure.words };
  }

  /**
   * Lets threads begin a step; the one before must be done.
   *
   * @throws Unrecoverable when a thread has failed
   */
  open({ program, vectors, wanted, total }: Step): void {
    const { words } = this;
    this.failure.check();
    // Nobody takes a slice while the step is described.
    const step = ((Atomics.load(words, NEXT) >> SLICE_BITS) + 1) << SLICE_BITS;
    Atomics.store(words, NEXT, step | SLICE_MASK);
    Atomics.store(words, DONE, 0);
    Atomics.store(words, TOTAL, total);
    Atomics.store(words, PROGRAM, program);
    Atomics.store(words, VECTORS, vectors);
    Atomics.store(words, WANTED, wanted);
    Atomics.store(words, NEXT, step);
    this.tell();
  }

  /** Wakes the threads that are idle. */
  tell(): void {
    Atomics.add(this.words, NEWS, 1);
    Atomics.notify(this.words, NEWS);
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
        const [stage, start = 0] = [stageOf[slice], startOf[slice]];
        this.#waitForDone(start);
        if (stage !== prepared || step !== preparedIn) {
          workspace.vectors = Atomics.load(words, VECTORS);
          workspace.wanted = Atomics.load(words, WANTED);
          stage?.prepare?.();
          [prepared, preparedIn] = [stage ?? null, step];
        }
        stage?.run(slice - start);
      } catch (error) {
        this.failure.note(error);
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

  /** Waits for a step, or something to read. */
  idle(news: number): void {
    for (let looks = 0; looks < IDLE_LOOKS; looks++) if (this.news() !== news) return;
    Atomics.wait(this.words, NEWS, news);
  }

  news(): number {
    return Atomics.load(this.words, NEWS);
  }

  /** The step and the number of a slice that is now this thread's; -1: there is none. */
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
    for (let looks = 0, waits = 0; ; looks++) {
      const done = Atomics.load(words, DONE);
      if (done >= count) return;
      if (looks < LOOKS) continue;
      this.failure.check();
      Atomics.add(words, SLEEPERS, 1);
      const waited = Atomics.wait(words, DONE, done, SECOND);
      Atomics.sub(words, SLEEPERS, 1);
      waits = waited === "timed-out" ? waits + 1 : 0;
      if (waits >= this.#patience) this.failure.note(new Error(`no part of a step was done for ${waits} s`));
    }
  }
}
