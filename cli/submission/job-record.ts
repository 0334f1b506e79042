import type { Cloud } from "../../cloud/connect.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { encodeJson } from "../../protocol/json.ts";
import { keys } from "../../protocol/keys.ts";
import type { JobRecord } from "../../protocol/records.ts";
import { commandFor, type TargetAddress } from "../targets/address.ts";
import type { OpenTarget } from "../targets/target.ts";
import { jobDifferences } from "./job-differences.ts";
import { type PreparedJob, uploadInputs } from "./prepare-job.ts";

/** The part of a record that makes two submissions the same job. */
export type JobIdentity = Pick<JobRecord, "spec" | "dataset">;

export const identityOf = ({ spec, dataset }: PreparedJob): JobIdentity => ({
  spec,
  dataset: dataset?.digest ?? null,
});

/**
 * Refuses a name that is taken by a different job.
 *
 * @throws InvalidInput with the fields that differ
 */
export function requireSameJob(
  stored: JobRecord,
  submitted: JobIdentity,
  address: Pick<TargetAddress, "flags">,
): void {
  const fields = jobDifferences(stored, submitted);
  if (fields.length === 0) return;
  const { name, steps } = submitted.spec;
  const onlyLonger =
    steps > stored.spec.steps &&
    fields.every((difference) => /^(steps|optimizer\.schedule\.(decaySteps|warmup)) /.test(difference));
  const further = onlyLonger
    ? `, or train that one further: ${commandFor(address, `resume ${name} --steps ${steps}`)}`
    : "";
  throw new InvalidInput([
    `the name "${name}" is taken by a job with another spec; choose another (--set name=...)${further}`,
    ...fields.map((difference) => `${name}: ${difference}`),
  ]);
}

/** Creates a job's record. Returns the stored one when there is one already, which must be of the same job. */
export async function createRecord(
  cloud: Cloud,
  record: JobRecord,
  address: Pick<TargetAddress, "flags"> = { flags: "" },
): Promise<JobRecord> {
  const { name } = record.spec;
  if ((await cloud.store.create(keys.job(name), encodeJson(record))) === "created") return record;
  const stored = await cloud.jobs.record(name);
  requireSameJob(stored, record, address);
  return stored;
}

/**
 * Stores the inputs of a job, then its record, as far as they are not there yet.
 *
 * @throws InvalidInput with the fields that differ when the name is taken by another job
 */
export async function findOrCreateRecord(target: OpenTarget, job: PreparedJob): Promise<JobRecord> {
  const { cloud, address } = target;
  const identity = identityOf(job);
  const stored = await cloud.jobs.find(identity.spec.name);
  if (stored) requireSameJob(stored, identity, address);
  // A job that another submission left half-made keeps its record; its inputs may still be missing.
  const record = stored ?? { ...identity, provenance: await target.provenanceOf(identity.spec) };
  await uploadInputs(cloud, job);
  return stored ?? createRecord(cloud, record, address);
}
