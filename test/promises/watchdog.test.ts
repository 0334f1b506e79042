import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SQSRecord } from "aws-lambda";
import { deadLettersHandler } from "../../functions/dead-letters.ts";
import { watch } from "../../functions/watchdog/watch.ts";
import { keys } from "../../protocol/keys.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob, waitFor } from "../support/lab.ts";

/** No job is left running without a word: lost tasks are redispatched, and what can't go on ends with a reason. */

const HOUR_MS = 3_600_000;
let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

/** Takes a job's waiting tasks out of the queue, as if their messages had been lost. */
async function loseTasks(job: string, count: number): Promise<void> {
  const url = await lab.cloud.queues.findTasks(job, 1);
  assert.ok(url);
  for (let i = 0; i < count; i++) {
    const received = await lab.cloud.queues.receive(url, new AbortController().signal);
    assert.ok(received && received !== "gone");
    await lab.cloud.queues.acknowledge(url, received.receipt);
  }
}

/** Calls the watchdog `ms` after now. */
const watchIn = (ms: number) => watch(lab.cloud, { redispatchSeconds: 60, ageOf: ({ ageMs }) => ageMs + ms });

const markers = (job: string) => lab.cloud.store.list(`${keys.actives}${job}/`);

test("tasks that were lost are redispatched, and the job ends as it would have", async () => {
  const spec = linearJob("lost-tasks", { steps: 3 });
  await lab.run({ ...spec, name: "nothing-lost" });
  await lab.submit(spec);
  await loseTasks(spec.name, 1);
  const workers = [lab.addWorker(spec.name, "a"), lab.addWorker(spec.name, "b")];
  const state = await lab.ended(spec.name);
  await Promise.all(workers);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.equal(await lab.digest(spec.name, 3), await lab.digest("nothing-lost", 3));
});

test("a job without progress for stallMinutes fails, and says what is waiting", async () => {
  const { name } = linearJob("stalled");
  await lab.submit(linearJob(name, { stallMinutes: 30 }));
  await watchIn(HOUR_MS);
  const { state } = await lab.cloud.jobs.state(name);
  assert.equal(state.status, "failed");
  assert.match(state.reason ?? "", /the initial parameters were not written for 30 minutes.*1 tasks wait/);
  assert.deepEqual(await markers(name), []);
});

test("a job that ended without being closed is closed", async () => {
  const { name } = linearJob("left-lying");
  await lab.submit(linearJob(name));
  await lab.cloud.jobs.end(name, "stopped", "by a test");
  await watchIn(0);
  assert.deepEqual(await markers(name), []);
});

test("a marker whose job was never finished submitting goes after an hour", async () => {
  await lab.cloud.store.create(keys.active("half-submitted", 1), new Uint8Array());
  await watchIn(0);
  assert.equal((await markers("half-submitted")).length, 1, "it may still be on its way");
  await watchIn(2 * HOUR_MS);
  assert.deepEqual(await markers("half-submitted"), []);
});

test("of many markers none is left out, and none is in the way of another", async () => {
  const jobs = Array.from({ length: 35 }, (_, i) => `never-begun-${i}`);
  await Promise.all(jobs.map((job) => lab.cloud.store.create(keys.active(job, 1), new Uint8Array())));
  await lab.cloud.store.create(keys.active("unreadable", 1), new Uint8Array());
  await lab.cloud.store.create(keys.state("unreadable"), new TextEncoder().encode("{"));
  await assert.rejects(watchIn(2 * HOUR_MS), /1 jobs could not be checked/);
  const left = await Promise.all(jobs.map(markers));
  assert.deepEqual(left.flat(), []);
  await lab.cloud.store.remove([keys.active("unreadable", 1)]);
});

test("a job that is just being resumed is left alone", async () => {
  const { name } = linearJob("resuming");
  await lab.submit(linearJob(name));
  await lab.cloud.jobs.end(name, "stopped", "by a test");
  await watchIn(0);
  // A resume first opens its queue and marker, and then says so in the state.
  await lab.cloud.queues.createTasks(name, 2, 10);
  await lab.cloud.store.create(keys.active(name, 2), new Uint8Array());
  await watchIn(0);
  assert.equal((await markers(name)).length, 1);
  const url = await lab.cloud.queues.findTasks(name, 2);
  assert.ok(url);
  assert.equal(await lab.cloud.queues.leaseSeconds(url), 10, "its queue is still there");
});

test("a message that reached the dead-letter queue ends its job and names the actor", async () => {
  const { name } = linearJob("dead-letter");
  await lab.submit(linearJob(name));
  const record = { messageId: "m-1", body: "?", attributes: { MessageGroupId: `${name}/2` } } as SQSRecord;
  await deadLettersHandler(lab.cloud)({ Records: [record] });
  const { state } = await lab.cloud.jobs.state(name);
  assert.equal(state.status, "failed");
  assert.match(state.reason ?? "", /the aggregator of shard 2 could not handle a message.*m-1/);
});

test("a malformed message ends the job of its group", async () => {
  const { name } = linearJob("malformed");
  await lab.submit(linearJob(name));
  const update = { kind: "wake", job: name, redispatch: "perhaps" } as never;
  await lab.cloud.queues.sendUpdates(lab.cloud.updates, [update], () => "malformed");
  const state = await waitFor(
    async () => {
      const { state } = await lab.cloud.jobs.state(name);
      return state.status === "failed" ? state : null;
    },
    "the failure",
    20_000,
  );
  assert.match(state.reason ?? "", /a message is malformed/);
});
