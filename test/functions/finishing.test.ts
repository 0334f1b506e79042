import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { S3Client } from "@aws-sdk/client-s3";
import { clientConfig } from "../../cloud/connect.ts";
import { Store } from "../../cloud/store.ts";
import { coordinate } from "../../functions/coordinator/coordinate.ts";
import { keys } from "../../protocol/keys.ts";
import { encodeRecord } from "../../protocol/records.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";

let lab: InProcess;
let s3: S3Client;
before(async () => {
  lab = await openInProcess();
  s3 = new S3Client({ ...clientConfig(lab.target.environment), forcePathStyle: true });
});
after(async () => {
  s3.destroy();
  await lab.close();
});

/** S3 in which something happens right after the evaluations were listed for the first time. */
class HeldUp extends Store {
  readonly #prefix: string;
  #then: (() => Promise<unknown>) | null;
  constructor(prefix: string, then: () => Promise<unknown>) {
    super(s3, lab.target.environment.PS_BUCKET);
    this.#prefix = prefix;
    this.#then = then;
  }
  override async list(prefix: string) {
    const found = await super.list(prefix);
    const then = prefix === this.#prefix ? this.#then : null;
    if (then) this.#then = null;
    await then?.();
    return found;
  }
}

test("a job does not end without showing an evaluation that came while it was looked at", async () => {
  const { cloud } = lab;
  const job = "last-evaluation";
  const spec = linearJob(job, { steps: 3, evaluateEvery: 3, evaluateBatches: 1 });
  const { evaluation, ...ended } = await lab.run(spec);
  assert.equal(evaluation?.version, 3);
  const key = keys.evaluation(job, 3);
  const stored = await cloud.store.get(key);
  assert.ok(stored);
  // Back to when the last evaluation was awaited.
  await cloud.store.remove([key]);
  const { etag } = await cloud.jobs.state(job);
  const awaiting = { ...ended, evaluation: null, status: "finishing", endedAt: null };
  await cloud.store.replace(keys.state(job), encodeRecord(awaiting), etag);

  const store = new HeldUp(keys.evaluations(job), () => cloud.store.create(key, stored.body));
  await coordinate({ ...cloud, store }, job, false);
  const { state } = await cloud.jobs.state(job);
  assert.deepEqual(state.evaluation, evaluation);
  await coordinate(cloud, job, false);
  const { state: last } = await cloud.jobs.state(job);
  assert.deepEqual([last.status, last.evaluation], ["succeeded", evaluation]);
});
