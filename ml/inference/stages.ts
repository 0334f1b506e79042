import type { Parameter, Range, Workspace } from "./workspace.ts";

/**
 * A part of a step that begins when the one before has ended. Its slices are independent of each other, and whichever
 * thread computes one, the result is the same.
 */
export type Stage = {
  readonly slices: number;
  /** Runs in each thread before its first slice of the stage. */
  prepare?(): void;
  run(slice: number): void;
};

/** A slice reads at least so much, or it costs more to take than to compute. */
const SMALL_BYTES = 1 << 16;
/** Several, so that a slow thread delays the rest by a part of its work only. */
const SLICES_PER_THREAD = 4;
/** Slices start at whole cache lines. */
const GRAIN = 16;

/** Splits a matrix into ranges of its rows. */
export function splitRows(workspace: Workspace, { rows, width }: Parameter): Range[] {
  const threads = workspace.decoder.buffers.perThread.length;
  const worthwhile = Math.ceil((4 * rows * width) / SMALL_BYTES);
  const count = Math.min(SLICES_PER_THREAD * threads, worthwhile);
  const size = Math.ceil(rows / count / GRAIN) * GRAIN;
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => ({
    start: i * size,
    end: Math.min(rows, (i + 1) * size),
  }));
}

/** A stage with a slice for each range. */
export function rangeStage(
  ranges: readonly Range[],
  run: (range: Range) => void,
  prepare?: () => void,
): Stage {
  const slice = (i: number) => {
    const range = ranges[i];
    if (range) run(range);
  };
  return { slices: ranges.length, run: slice, ...(prepare ? { prepare } : {}) };
}
