import { isEnded, type State } from "../protocol/records.ts";

/** What is ahead of its job's state for longer than this is left by a submission that died halfway. */
export const ORPHAN_MS = 3_600_000;

/**
 * How an attempt stands, going by its job's state:
 *
 * - `ahead`: someone is submitting or resuming the job and will say so in its state, or died before that
 * - `present`: the job works on it
 * - `ended`: it was the last one, and the job has ended
 * - `followed`: there is a later one
 */
export type Standing = "ahead" | "present" | "ended" | "followed";

/** @param state null for a job that has none yet, or none any more */
export function standingOf(attempt: number, state: State | null): Standing {
  if (state === null || state.attempt < attempt) return "ahead";
  if (state.attempt > attempt) return "followed";
  return isEnded(state) ? "ended" : "present";
}
