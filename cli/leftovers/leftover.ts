import type { OpenTarget } from "../targets/target.ts";

/** Something that no job uses any more. */
export type Leftover = {
  /** Each thing that goes with it, such as "task queue ps-gpt-tasks-1". */
  readonly parts: readonly string[];
  readonly why: string;
  /**
   * Checks once more that nothing uses it, and removes it. Null for what only its user can finish.
   *
   * @returns false when it is used again, or gone already
   */
  readonly remove: (() => Promise<boolean>) | null;
};

/** Runs `action` while no other process of this machine runs the job. @returns false when one does */
export async function whileNobodyRuns(
  target: OpenTarget,
  job: string,
  action: () => Promise<boolean>,
): Promise<boolean> {
  const claim = await target.claim(job);
  if (claim === null) return false;
  try {
    return await action();
  } finally {
    claim.release();
  }
}
