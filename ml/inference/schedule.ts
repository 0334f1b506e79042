import { Failure } from "./failure.ts";
import type { Machine } from "./machine.ts";
import type { Phase, Program } from "./phases.ts";

/**
 * How threads share the chunks of a step. Chunks are numbered through all phases; a thread takes the next one, waits
 * until all chunks of the phases before are done, computes it and counts it as done. So the main thread can do a step
 * alone, and others join whenever the system lets them run: nobody waits for a thread that has nothing in hand.
 *
 * When a chunk fails, or its thread is gone, all of them stop, and the step ends with the reason.
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

/** `NEXT` is the step's number above and the next chunk below these bits: a thread that is late takes nothing. */
const CHUNK_BITS = 16;
const CHUNK_MASK = 2 ** CHUNK_BITS - 1;

/** So often a thread looks before it sleeps: some 20 microseconds. */
const LOOKS = 5000;
/** Between two steps a thread stays awake longer than that. */
const IDLE_LOOKS = 10 * LOOKS;

const SECOND = 1000;
/** No chunk takes so many seconds; the time in which the system lets this process run is what counts. */
const PATIENCE = 120;

/** A program with its chunks numbered. */
export type Numbered = {
  readonly machine: Pick<Machine, "vectors" | "wanted">;
  readonly phaseOf: readonly Phase[];
  /** The number of the first chunk of the phase that a chunk is in. */
  readonly startOf: readonly number[];
};

export function number({ machine, phases }: Program): Numbered {
  const phaseOf: Phase[] = [];
  const startOf: number[] = [];
  for (const phase of phases) {
    const start = phaseOf.length;
    for (let i = 0; i < phase.chunks; i++) {
      phaseOf.push(phase);
      startOf.push(start);
    }
  }
  if (phaseOf.length >= CHUNK_MASK) throw new RangeError(`a step has too many chunks, ${phaseOf.length}`);
  return { machine, phaseOf, startOf };
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

export class Schedule {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly failure: Failure;
  readonly #patience: number;

  /**
   * @param shared of a schedule in another thread
   * @param patience seconds without any progress after which the thread that was waited for is gone
   */
  constructor(shared?: Shared, patience = PATIENCE) {
    this.words = shared?.words ?? new Int32Array(new SharedArrayBuffer(4 * WORDS));
    this.failure = new Failure(shared?.failure);
    this.#patience = patience;
    if (!shared) Atomics.store(this.words, NEXT, CHUNK_MASK);
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
    // Nobody takes a chunk while the step is described.
    const step = ((Atomics.load(words, NEXT) >> CHUNK_BITS) + 1) << CHUNK_BITS;
    Atomics.store(words, NEXT, step | CHUNK_MASK);
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

  /** Computes chunks as long as there are any, and none has failed. */
  work(programOf: (id: number) => Numbered): void {
    let prepared: Phase | null = null;
    let preparedIn = -1;
    for (let taken = this.#take(); taken !== -1; taken = this.#take()) {
      const { words } = this;
      try {
        const { machine, phaseOf, startOf } = programOf(Atomics.load(words, PROGRAM));
        const [chunk, step] = [taken & CHUNK_MASK, taken >> CHUNK_BITS];
        const [phase, start = 0] = [phaseOf[chunk], startOf[chunk]];
        this.#waitForDone(start);
        if (phase !== prepared || step !== preparedIn) {
          machine.vectors = Atomics.load(words, VECTORS);
          machine.wanted = Atomics.load(words, WANTED);
          phase?.prepare?.();
          [prepared, preparedIn] = [phase ?? null, step];
        }
        phase?.run(chunk - start);
      } catch (error) {
        this.failure.note(error);
      } finally {
        Atomics.add(words, DONE, 1);
        if (Atomics.load(words, SLEEPERS) > 0) Atomics.notify(words, DONE);
      }
    }
  }

  /**
   * Waits until all chunks of the step are done.
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

  /** The step and the number of a chunk that is now this thread's; -1: there is none. */
  #take(): number {
    const { words } = this;
    for (;;) {
      if (this.failure.happened) return -1;
      const next = Atomics.load(words, NEXT);
      if ((next & CHUNK_MASK) >= Atomics.load(words, TOTAL)) return -1;
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
