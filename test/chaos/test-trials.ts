import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { JobName } from "./jobs.ts";
import { calmTrial, describeFaults, type Trial } from "./plan.ts";
import { runTrial } from "./trial.ts";

/** Makes a test of each trial: it ends with the bytes that its job has without a fault. */
export function testTrials(trials: readonly Trial[]): void {
  const calm = new Map<JobName, string>();
  before(async () => {
    for (const job of new Set(trials.map((trial) => trial.job)))
      calm.set(job, (await runTrial(calmTrial(job))).digest);
  });
  for (const trial of trials) {
    test(`the bytes are the same with ${trial.kind}: ${describeFaults(trial.faults)}`, async () => {
      assert.equal((await runTrial(trial)).digest, calm.get(trial.job));
    });
  }
}
