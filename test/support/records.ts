import assert from "node:assert/strict";
import type { Store } from "../../cloud/store.ts";
import { keys } from "../../protocol/keys.ts";
import type { JobRecord } from "../../protocol/records.ts";

/** Changes a job's record in S3, which nobody but a test may: for processes that have not read it yet. */
export async function changeRecord(store: Store, job: string, change: (record: JobRecord) => object) {
  const stored = await store.get(keys.job(job));
  assert.ok(stored, `${job} was submitted`);
  const changed = change(JSON.parse(Buffer.from(stored.body).toString()));
  await store.replace(keys.job(job), Buffer.from(JSON.stringify(changed)), stored.etag);
}

/** For `changeRecord`. */
export const withProvenance = (changes: Partial<JobRecord["provenance"]>) => (record: JobRecord) => ({
  ...record,
  provenance: { ...record.provenance, ...changes },
});
