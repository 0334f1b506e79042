import { gpt2Phases } from "./gpt2.ts";
import { llamaPhases } from "./llama.ts";
import { Machine, type Parameter, type Range } from "./machine.ts";
import type { DecoderPlan } from "./plan.ts";

/**
 * A part of a step that begins when the one before has ended. Its chunks are independent of each other, and whichever
 * thread computes one, the result is the same.
 */
export type Phase = {
  readonly chunks: number;
  /** What a thread does before its first chunk of a step's phase. */
  prepare?(): void;
  run(chunk: number): void;
};

/** All phases of a step as a thread computes them; the last one makes the logits. */
export type Program = { readonly machine: Machine; readonly phases: readonly Phase[] };

export function programOf(plan: DecoderPlan, thread: number): Program {
  const machine = new Machine(plan, thread);
  return { machine, phases: plan.shape.type === "gpt2" ? gpt2Phases(machine) : llamaPhases(machine) };
}

/** What is worth a thread's attention. */
const SMALL_BYTES = 1 << 16;
/** So many for each thread, so that a slow one does not hold up the rest for long. */
const CHUNKS_PER_THREAD = 4;
/** Chunks start at whole cache lines. */
const GRAIN = 16;

/** Cuts a matrix into ranges of its rows. */
export function rangesOf(machine: Machine, { rows, width }: Parameter): Range[] {
  const threads = machine.plan.buffers.own.length;
  const worthwhile = Math.ceil((4 * rows * width) / SMALL_BYTES);
  const count = Math.min(CHUNKS_PER_THREAD * threads, worthwhile);
  const size = Math.ceil(rows / count / GRAIN) * GRAIN;
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => ({
    start: i * size,
    end: Math.min(rows, (i + 1) * size),
  }));
}

/** A phase with a chunk for each range. */
export function overRanges(
  ranges: readonly Range[],
  run: (range: Range) => void,
  prepare?: () => void,
): Phase {
  const chunk = (i: number) => {
    const range = ranges[i];
    if (range) run(range);
  };
  return { chunks: ranges.length, run: chunk, ...(prepare ? { prepare } : {}) };
}
