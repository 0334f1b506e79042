import { randomUUID } from "node:crypto";
import type { Cloud } from "../../cloud/connect.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { keys } from "../../protocol/keys.ts";
import type { JobRecord, State } from "../../protocol/records.ts";
import { commandFor, type TargetAddress } from "../targets/address.ts";
import { jobDifferences } from "./job-differences.ts";

/**
 * Refuses a name that is taken by a different job.
 *
 * @throws InvalidInput with the fields that differ
 */
export function requireSame(
  stored: JobRecord,
  given: Pick<JobRecord, "spec" | "dataset">,
  address: Pick<TargetAddress, "flags">,
): void {
  const found = jobDifferences(stored, given);
  if (found.length === 0) return;
  const { name, steps } = given.spec;
  const onlyLonger =
    steps > stored.spec.steps &&
    found.every((difference) => /^(steps|optimizer\.schedule\.decaySteps) /.test(difference));
  const further = onlyLonger
    ? `, or train that one further: ${commandFor(address, `resume ${name} --steps ${steps}`)}`
    : "";
  throw new InvalidInput([
    `the name "${name}" is taken by a job with another spec; choose another (--set name=...)${further}`,
    ...found.map((difference) => `${name}: ${difference}`),
  ]);
}

/** Creates a job's record; the one that is there stands, if it is the same job. */
export async function createRecord(
  cloud: Cloud,
  record: JobRecord,
  address: Pick<TargetAddress, "flags"> = { flags: "" },
): Promise<JobRecord> {
  const { name } = record.spec;
  if ((await cloud.store.create(keys.job(name), encodeJson(record))) === "created") return record;
  const stored = await cloud.jobs.record(name);
  requireSame(stored, record, address);
  return stored;
}

/** A worker on this machine that is silent for this long has died. */
export const LOCAL_LEASE_SECONDS = 10;

/**
 * Makes everything else that a new job needs. Each part may be there from a submission that was cut short.
 *
 * @param leaseSeconds a worker that is silent for this long has died
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
  // A record that lay there for days may be cleaned up while its submission is made whole; from the marker on it stays.
  await createRecord(cloud, record);
  await cloud.store.create(keys.state(spec.name), encodeJson(state));
  await wakeCoordinator(cloud, spec.name, randomUUID());
  return (await cloud.jobs.state(spec.name)).state;
}

/** Goes on with a job that has ended: a new attempt with a task queue of its own. */
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

/** Goes on with a job whose processes all died: what its state says still holds. */
export async function continueJob(
  cloud: Cloud,
  { job, attempt }: State,
  leaseSeconds = LOCAL_LEASE_SECONDS,
): Promise<void> {
  await openAttempt(cloud, job, attempt, leaseSeconds);
  await wakeCoordinator(cloud, job, randomUUID(), true);
}

/** The marker comes before the state that it stands for, so that the watchdog sees every job that is not ended. */
async function openAttempt(cloud: Cloud, job: string, attempt: number, leaseSeconds: number): Promise<void> {
  await cloud.queues.createTasks(job, attempt, leaseSeconds);
  await cloud.store.create(keys.active(job, attempt), new Uint8Array());
}
