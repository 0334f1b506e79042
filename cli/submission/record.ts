import type { JobRecord } from "../../protocol/records.ts";
import type { OpenTarget } from "../targets/target.ts";
import { createRecord, requireSame } from "./create.ts";
import { type PreparedJob, uploadInputs } from "./prepare-job.ts";

/** What makes two submissions the same job. */
export const givenOf = ({ spec, dataset }: PreparedJob): Pick<JobRecord, "spec" | "dataset"> => ({
  spec,
  dataset: dataset?.digest ?? null,
});

/**
 * Stores what a job starts from, then its record, as far as they are not there yet.
 *
 * @throws InvalidInput with the fields that differ when the name is taken by another job
 */
export async function findOrCreate(target: OpenTarget, job: PreparedJob): Promise<JobRecord> {
  const { cloud, address } = target;
  const given = givenOf(job);
  const known = await cloud.jobs.find(given.spec.name);
  if (known) requireSame(known, given, address);
  // A job that another submission left half-made keeps its record; the text may still be missing.
  const record = known ?? { ...given, provenance: await target.provenanceOf(given.spec) };
  await uploadInputs(cloud, job);
  return known ?? createRecord(cloud, record, address);
}
