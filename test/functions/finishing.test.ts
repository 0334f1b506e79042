import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { coordinate } from "../../functions/coordinator/coordinate.ts";
import { encodeJson } from "../../protocol/json.ts";
import { keys } from "../../protocol/keys.ts";
import { HeldUpStore } from "../support/held-up-store.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";

let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

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
  await cloud.store.replace(keys.state(job), encodeJson(awaiting), etag);

  const store = new HeldUpStore(lab.target.environment, keys.evaluations(job), () =>
    cloud.store.create(key, stored.body),
  );
  await coordinate({ ...cloud, store }, job, false);
  store.close();
  const { state } = await cloud.jobs.state(job);
  assert.deepEqual(state.evaluation, evaluation);
  await coordinate(cloud, job, false);
  const { state: last } = await cloud.jobs.state(job);
  assert.deepEqual([last.status, last.evaluation], ["succeeded", evaluation]);
});
