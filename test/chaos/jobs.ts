import type { JobSpec } from "../../protocol/job.ts";
import { linearJob } from "../support/lab.ts";

export type TrialJob = (name: string, changes?: Record<string, unknown>) => JobSpec;

/** A gradient piece of this job rides in its message. */
export const inlineJob: TrialJob = (name, changes = {}) =>
  linearJob(name, { steps: 12, evaluateEvery: 4, checkpointEvery: 6, ...changes });

/** A gradient piece of this job, 350 kB, is an object of its own. */
export const storedJob: TrialJob = (name, changes = {}) =>
  linearJob(name, {
    model: { type: "linear", inputs: 256, outputs: 1024 },
    steps: 6,
    evaluateEvery: 3,
    ...changes,
  });

/** The jobs that trials run; each seed draws one of them. */
export const trialJobs = { inline: inlineJob, stored: storedJob } as const satisfies Record<string, TrialJob>;
export type JobName = keyof typeof trialJobs;
export const jobNames: readonly JobName[] = ["inline", "stored"];
