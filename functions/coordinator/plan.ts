import type { JobSpec } from "../../protocol/job.ts";
import type { Task } from "../../protocol/messages.ts";
import type { State } from "../../protocol/records.ts";

/** The tasks, evaluations and checkpoints that are due at a version: pure functions of the spec. */

type Target = Pick<State, "steps">;

/** True for a version that is evaluated on held-out data: every `evaluateEvery` steps, and the last. */
export const isEvaluated = ({ evaluateEvery }: JobSpec, { steps }: Target, version: number): boolean =>
  evaluateEvery > 0 && version > 0 && (version % evaluateEvery === 0 || version === steps);

/** True for a version that is written in the open format: every `checkpointEvery` steps, and the last. */
export const isCheckpointed = ({ checkpointEvery }: JobSpec, { steps }: Target, version: number): boolean =>
  version > 0 && ((checkpointEvery > 0 && version % checkpointEvery === 0) || version === steps);

/** Every version up to `version` that is evaluated. */
export function evaluatedUpTo(spec: JobSpec, state: Target, version: number): number[] {
  const versions: number[] = [];
  if (spec.evaluateEvery === 0) return versions;
  for (let due = spec.evaluateEvery; due <= version; due += spec.evaluateEvery) versions.push(due);
  if (version === state.steps && version % spec.evaluateEvery !== 0) versions.push(version);
  return versions;
}

/** The gradient tasks of a step. */
export const gradientTasks = (
  job: string,
  step: number,
  ranks: readonly number[],
  dispatch: string,
): Task[] => ranks.map((rank) => ({ kind: "gradient", job, step, rank, dispatch }));

export const allRanks = ({ ranks }: JobSpec): number[] => Array.from({ length: ranks }, (_, rank) => rank);
