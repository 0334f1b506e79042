import { type JobSpec, parseJobFile } from "../../protocol/job.ts";

/** A job as it is stored, with the defaults of a job file and one shard unless it says otherwise. */
export function jobOf(written: object, source = "test"): JobSpec {
  const job = parseJobFile(written, source);
  return { ...job, shards: job.shards ?? 1 };
}
