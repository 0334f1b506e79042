import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Cloud } from "../../cloud/connect.ts";
import { watch } from "../../functions/watchdog/watch.ts";
import type { State } from "../../protocol/records.ts";
import { begunJob, takeUpdates } from "../support/begun-job.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";
import { withVerb } from "../support/with-verb.ts";

/** What the watchdog does with a job that makes no progress; here no process runs, and only the test calls it. */

const MINUTE_MS = 60_000;
let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** Watches as if so many minutes had passed. */
const watchIn = (cloud: Cloud, minutes: number) =>
  watch(cloud, { redispatchSeconds: 60, ageOf: ({ ageMs }) => ageMs + minutes * MINUTE_MS });

/** Takes all waiting updates of a job. */
const updatesOf = async (job: string) =>
  (await takeUpdates(lab.cloud)).filter((update) => update.job === job);

test("tasks are sent again once none is waiting and none is leased, not before", async () => {
  const job = "leased";
  await begunJob(lab, job, { ranks: 1 });
  await updatesOf(job);
  const { queues } = lab.cloud;
  const url = (await queues.findTasks(job, 1)) ?? "";
  const later = () => watchIn(lab.cloud, 2);

  await later();
  assert.deepEqual(await updatesOf(job), [], "a task waits");
  const lease = await queues.receive(url, new AbortController().signal);
  assert.ok(lease && lease !== "gone");
  await later();
  assert.deepEqual(await updatesOf(job), [], "a worker has it");
  await queues.acknowledge(url, lease.receipt);
  await later();
  assert.deepEqual(await updatesOf(job), [{ kind: "wake", job, redispatch: true }]);
});

test("a job that makes progress while it is looked at is not ended", async () => {
  const job = "just-in-time";
  await lab.submit(linearJob(job, { stallMinutes: 30 }));
  const { queues, jobs } = lab.cloud;
  const progress = (state: State): State => ({ ...state, status: "running", version: 1 });
  const late = withVerb(queues, "depth", async (url) => {
    await jobs.change(job, progress);
    return queues.depth(url);
  });
  await watchIn({ ...lab.cloud, queues: late }, 31);
  const { status, version } = (await jobs.state(job)).state;
  assert.deepEqual({ status, version }, { status: "running", version: 1 });
});
