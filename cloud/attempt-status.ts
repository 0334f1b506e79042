import { isEnded, type State } from "../protocol/records.ts";

/** An attempt that is ahead of its job's state for longer than this was left by a submission that died halfway. */
export const ORPHAN_MS = 3_600_000;

/**
 * An attempt compared with its job's state:
 *
 * - `ahead`: someone is submitting or resuming the job and will write it to the state, or died before that
 * - `present`: the job works on it
 * - `ended`: it was the last one, and the job has ended
 * - `superseded`: there is a later one
 */
export type AttemptStatus = "ahead" | "present" | "ended" | "superseded";

/** @param state null for a job that has no state yet, or no longer */
export function attemptStatusOf(attempt: number, state: State | null): AttemptStatus {
  if (state === null || state.attempt < attempt) return "ahead";
  if (state.attempt > attempt) return "superseded";
  return isEnded(state) ? "ended" : "present";
}
