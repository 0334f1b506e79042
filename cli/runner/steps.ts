import { InvalidInput } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import type { State } from "../../protocol/records.ts";
import { count } from "../terminal/format.ts";

/** How many steps a job has done and is to do. */

/** Returns `at step 20 of 1,000`. */
export const progressOf = ({ version, steps }: State): string =>
  `at step ${count(version ?? 0)} of ${count(steps)}`;

/** @throws InvalidInput when so many steps are done already */
export function requireMoreSteps({ version, steps: present }: State, steps: number): void {
  const done = version ?? 0;
  if (steps > done || steps === present) return;
  throw new InvalidInput(`--steps must be more than the ${count(done)} steps done, got ${steps}`);
}

/** Returns what a person who asks for so many steps may not expect. */
export function notesOnSteps({ optimizer }: JobSpec, steps: number): string[] {
  const { type, decaySteps, minLearningRate } = optimizer.schedule;
  if (type === "constant" || minLearningRate > 0 || steps <= decaySteps) return [];
  return [`note: the learning rate is 0 from step ${count(decaySteps)} on, so later steps change nothing`];
}
