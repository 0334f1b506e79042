import { randomUUID } from "node:crypto";
import type { Cloud } from "../../cloud/connect.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { encodeJson } from "../../protocol/json.ts";
import { keys } from "../../protocol/keys.ts";
import type { JobRecord, State } from "../../protocol/records.ts";
import { createRecord } from "./job-record.ts";

/** Seconds of silence after which a worker on this machine counts as dead. */
export const LOCAL_LEASE_SECONDS = 10;

/**
 * Starts a job that has a record: creates its first attempt and its state, as far as an earlier submission that was cut
 * short has not.
 *
 * @param leaseSeconds seconds of silence after which a worker counts as dead
 */
export async function beginJob(
  cloud: Cloud,
  record: JobRecord,
  leaseSeconds = LOCAL_LEASE_SECONDS,
): Promise<State> {
  const { spec } = record;
  const now = new Date().toISOString();
  const state: State = {
    job: spec.name,
    status: "starting",
    reason: null,
    version: null,
    steps: spec.steps,
    attempt: 1,
    loss: null,
    evaluation: null,
    checkpoint: null,
    createdAt: now,
    updatedAt: now,
    endedAt: null,
  };
  await openAttempt(cloud, spec.name, state.attempt, leaseSeconds);
  // A cleanup may have removed a record without an attempt meanwhile; one with a marker it keeps.
  await createRecord(cloud, record);
  await cloud.store.create(keys.state(spec.name), encodeJson(state));
  await wakeCoordinator(cloud, spec.name, randomUUID());
  return (await cloud.jobs.state(spec.name)).state;
}

/** Resumes a job that has ended, with a new attempt that has a task queue of its own. */
export async function resumeJob(
  cloud: Cloud,
  state: State,
  steps: number,
  leaseSeconds = LOCAL_LEASE_SECONDS,
): Promise<State> {
  const { job } = state;
  const attempt = state.attempt + 1;
  await openAttempt(cloud, job, attempt, leaseSeconds);
  const resumed = await cloud.jobs.change(job, (current) =>
    current.attempt >= attempt
      ? null
      : { ...current, status: "starting", attempt, reason: null, endedAt: null, steps },
  );
  await wakeCoordinator(cloud, job, randomUUID(), true);
  return resumed;
}

/** Continues the attempt of a job whose processes all died. */
export async function continueJob(
  cloud: Cloud,
  { job, attempt }: State,
  leaseSeconds = LOCAL_LEASE_SECONDS,
): Promise<void> {
  await openAttempt(cloud, job, attempt, leaseSeconds);
  await wakeCoordinator(cloud, job, randomUUID(), true);
}

/** Creates the marker before the state of the attempt, so that the watchdog sees every job that has not ended. */
async function openAttempt(cloud: Cloud, job: string, attempt: number, leaseSeconds: number): Promise<void> {
  await cloud.queues.createTasks(job, attempt, leaseSeconds);
  await cloud.store.create(keys.active(job, attempt), new Uint8Array());
}
