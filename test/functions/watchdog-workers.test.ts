import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { BatchClient } from "@aws-sdk/client-batch";
import { resumeJob } from "../../cli/submission/attempts.ts";
import { Batch } from "../../cloud/batch.ts";
import { closeJob, failJob } from "../../cloud/close.ts";
import { type Cloud, clientConfig, connect } from "../../cloud/connect.ts";
import { living } from "../../cloud/worker-groups.ts";
import { watch } from "../../functions/watchdog/watch.ts";
import { keys } from "../../protocol/keys.ts";
import { linearJob, waitFor } from "../support/lab.ts";
import { type BatchLab, openBatchLab } from "./batch-lab.ts";

/** No ghost jobs, on AWS Batch: what has ended leaves no worker, and what no worker will go on with ends. */

const FOREVER = { SCRIPT: "exec sleep 600" };
const MINUTE_MS = 60_000;
let lab: BatchLab;
before(async () => {
  lab = await openBatchLab({ command: ["/bin/sh", "-c", 'eval "$SCRIPT"'], vcpus: 3, secondMs: 2 });
});
after(() => lab.close());

async function submit(name: string): Promise<string> {
  await lab.submit(linearJob(name));
  return name;
}

/** The watchdog, called `minutes` after now. */
const watchIn = (minutes: number, cloud: Cloud = lab.cloud) =>
  watch(cloud, { redispatchSeconds: 60, ageOf: ({ ageMs }) => ageMs + minutes * MINUTE_MS });
const stateOf = async (job: string) => (await lab.cloud.jobs.state(job)).state;
const markers = (job: string) => lab.cloud.store.list(`${keys.actives}${job}/`);

async function alive(job: string, attempt = 1): Promise<number> {
  const groups = await lab.cloud.batch.groups(job, attempt);
  return groups.reduce((sum, group) => sum + living(group), 0);
}
const allEnded = (job: string, attempt = 1) =>
  waitFor(async () => (await alive(job, attempt)) === 0 || null, `the end of ${job}'s workers`, 20_000);
const allRun = (job: string, count: number) =>
  waitFor(
    async () => {
      const groups = await lab.cloud.batch.groups(job, 1);
      return groups.reduce((sum, { counts }) => sum + counts.RUNNING, 0) === count || null;
    },
    `${count} workers of ${job}`,
    20_000,
  );

test("an ended job leaves no worker, whether it ran or waited, and Batch says why", async () => {
  const job = await submit("leaves-none");
  const array = await lab.workers(job, 5, FOREVER);
  await allRun(job, 3);
  const plain = await lab.workers(job, 1, FOREVER);
  await failJob(lab.cloud, job, "by a test");
  await allEnded(job);
  assert.deepEqual(await markers(job), []);
  const [group] = await lab.cloud.batch.members({ id: plain, size: 1 });
  assert.equal(group?.reason, "the job leaves-none has ended: failed");
  assert.deepEqual([group?.attempts, group?.logStream], [0, null], "it waited, and never started");
  const members = await lab.cloud.batch.members({ id: array, size: 5 });
  assert.ok(members.every(({ status }) => status === "FAILED"));
});

test("a job whose workers all failed fails, and names the first that failed by itself", async () => {
  const job = await submit("all-failed");
  // The one that is ended by others is not to blame.
  const array = await lab.workers(job, 2, {
    SCRIPT: 'test "$AWS_BATCH_JOB_ARRAY_INDEX" = 0 && exec sleep 600; exit 9',
  });
  await allRun(job, 1);
  await watchIn(2);
  assert.equal((await stateOf(job)).status, "starting", "one of them is still there");
  await lab.cloud.batch.reduce(job, 1, 0, "fewer workers");
  await allEnded(job);
  await watchIn(2);
  const { status, reason } = await stateOf(job);
  assert.equal(status, "failed");
  assert.match(
    reason ?? "",
    new RegExp(
      `^all 2 workers have ended; worker ${array}:1 failed: Essential container in task exited, ` +
        "exit code 9; see log stream test-worker/default/[0-9a-f]+, then resume$",
    ),
  );
  assert.deepEqual(await markers(job), []);
});

test("workers that left with nothing wrong before their job ended are told from those that failed", async () => {
  const job = await submit("all-left");
  await lab.workers(job, 1, { SCRIPT: "true" });
  await allEnded(job);
  await watchIn(2);
  assert.match((await stateOf(job)).reason ?? "", /^the only worker has ended with nothing wrong; read/);
});

test("a job that only waits for its checkpoint needs no workers", async () => {
  const job = await submit("finishing");
  const url = (await lab.cloud.queues.findTasks(job, 1)) ?? "";
  await lab.cloud.jobs.change(job, (state) => ({ ...state, status: "finishing" }));
  await lab.workers(job, 1, { SCRIPT: "true" });
  await allEnded(job);
  await watchIn(2);
  assert.equal((await stateOf(job)).status, "finishing");
  await lab.cloud.queues.sendTasks(url, [{ kind: "evaluate", job, version: 1, dispatch: "1" }]);
  await watchIn(2);
  assert.equal((await stateOf(job)).status, "failed", "an evaluation is a worker's business");
});

test("a job without any workers fails after a quarter of an hour", async () => {
  const job = await submit("no-workers");
  await watchIn(14);
  assert.equal((await stateOf(job)).status, "starting");
  await watchIn(16);
  const { status, reason } = await stateOf(job);
  assert.deepEqual([status, reason], ["failed", "no workers were submitted; resume it"]);
});

test("a job whose workers wait for a host fails after stallMinutes, and says that they wait", async () => {
  const job = await submit("waits-for-host");
  await lab.workers(job, 4, FOREVER);
  await allRun(job, 3);
  await watchIn(30);
  assert.equal((await stateOf(job)).status, "starting");
  await watchIn(61);
  assert.match((await stateOf(job)).reason ?? "", /for 60 minutes .*; workers: 1 RUNNABLE, 3 RUNNING\);/);
  await allEnded(job);
});

test("an attempt that another one has followed loses its workers, and the new one keeps its own", async () => {
  const job = await submit("followed");
  await lab.workers(job, 1, FOREVER);
  const ended = await lab.cloud.jobs.end(job, "stopped", "by a test");
  await resumeJob(lab.cloud, ended, ended.steps);
  await lab.workers(job, 1, FOREVER, 2);
  await watchIn(0);
  await allEnded(job, 1);
  assert.equal(await alive(job, 2), 1);
  await closeJob(lab.cloud, ended);
  assert.equal(await alive(job, 2), 1, "also when the old attempt is closed once more");
  await failJob(lab.cloud, job, "by a test");
  await allEnded(job, 2);
});

test("where no job queue is deployed there are no workers, which is no error", async () => {
  const cloud = connect({ ...lab.environment, PS_JOB_QUEUES: "ps-gone-gpu,ps-gone-cpu" });
  const job = await submit("no-queues");
  await watchIn(2, cloud);
  assert.equal((await stateOf(job)).status, "starting");
  await failJob(cloud, job, "by a test");
  assert.deepEqual(await markers(job), []);
  cloud.close();
});

test("a job that went on while the watchdog looked at it is left alone", async () => {
  const job = await submit("went-on");
  const { batch, jobs } = lab.cloud;
  const client = new BatchClient(clientConfig(lab.environment));
  class Slow extends Batch {
    override async groups() {
      await jobs.change(job, (state) =>
        state.status === "starting" ? { ...state, status: "running" } : null,
      );
      return batch.groups(job, 1);
    }
  }
  await watchIn(16, { ...lab.cloud, batch: new Slow(client, [], "") });
  client.destroy();
  assert.equal((await stateOf(job)).status, "running");
  await failJob(lab.cloud, job, "by a test");
});

test("a job that cannot be checked does not keep the watchdog from the others", async () => {
  await lab.cloud.store.create(keys.active("broken", 1), new Uint8Array());
  await lab.cloud.store.create(keys.state("broken"), new TextEncoder().encode("{"));
  const job = await submit("cared-for");
  await lab.cloud.jobs.end(job, "stopped", "by a test");
  await assert.rejects(watchIn(0), /^AggregateError: 1 jobs could not be checked/);
  assert.deepEqual(await markers(job), []);
  await lab.cloud.store.remove([keys.active("broken", 1)]);
});
