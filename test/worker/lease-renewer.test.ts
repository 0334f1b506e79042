import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig } from "../../cloud/connect.ts";
import { Queues } from "../../cloud/queues.ts";
import { LeaseRenewer } from "../../worker/lease-renewer.ts";
import { type Lab, openLab } from "../support/lab.ts";
import { withVerb } from "../support/with-verb.ts";

/** A worker's lease, and what is logged of it. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** A renewer that holds a task, and what is logged from now on. */
async function renewerOf(t: TestContext, job: string) {
  const { queues } = lab.cloud;
  await queues.createTasks(job, 1, 600);
  const url = (await queues.findTasks(job, 1)) ?? "";
  await queues.sendTasks(url, [{ kind: "init", job, dispatch: "1" }]);
  const received = await queues.receive(url, new AbortController().signal);
  assert.ok(received && received !== "gone");
  const renewer = new LeaseRenewer(queues);
  renewer.hold({ url, receipt: received.receipt, seconds: 600 });
  t.after(() => renewer.hold(null));
  const logged: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => logged.push(text) > 0);
  return { renewer, queues, url, receipt: received.receipt, logged };
}

test("a lease that is held is given back", async (t) => {
  const { renewer, queues, url, logged } = await renewerOf(t, "held");
  await renewer.giveBack();
  assert.deepEqual(await queues.depth(url), { waiting: 1, inFlight: 0 });
  assert.deepEqual(logged, []);
});

test("a lease is renewed after every third of it, until another takes its place", async (t) => {
  const url = "a queue";
  const renewed: [receipt: string, seconds: number][] = [];
  const recording = withVerb(lab.cloud.queues, "lease", async (_, receipt, seconds) => {
    renewed.push([receipt, seconds]);
    return true;
  });
  t.mock.timers.enable({ apis: ["setInterval"] });
  const renewer = new LeaseRenewer(recording);
  renewer.hold({ url, receipt: "first", seconds: 30 });
  t.mock.timers.tick(9_999);
  assert.deepEqual(renewed, []);
  t.mock.timers.tick(10_001);
  assert.deepEqual(renewed, [
    ["first", 30],
    ["first", 30],
  ]);
  renewer.hold({ url, receipt: "second", seconds: 30 });
  t.mock.timers.tick(10_000);
  assert.deepEqual(renewed.slice(2), [["second", 30]]);
  renewer.hold(null);
  t.mock.timers.tick(100_000);
  assert.equal(renewed.length, 3);
});

test("of a task that was done a moment before, and of a job that has ended, nothing is said", async (t) => {
  const done = await renewerOf(t, "done");
  await done.queues.acknowledge(done.url, done.receipt);
  await done.renewer.giveBack();
  assert.deepEqual(done.logged, []);
  t.mock.restoreAll();
  const ended = await renewerOf(t, "ended");
  await ended.queues.removeTasks("ended", 1);
  await ended.renewer.giveBack();
  assert.deepEqual(ended.logged, []);
});

test("a queue that does not answer is told of, and is no error", async (t) => {
  const { url, receipt, logged } = await renewerOf(t, "silent");
  const nowhere = { ...lab.target.environment, AWS_ENDPOINT_URL: "http://127.0.0.1:1" };
  const client = new SQSClient({ ...clientConfig(nowhere), maxAttempts: 1, useQueueUrlAsEndpoint: false });
  const renewer = new LeaseRenewer(new Queues(client, "ps-"));
  renewer.hold({ url, receipt, seconds: 600 });
  await renewer.giveBack();
  client.destroy();
  assert.match(logged.join(""), /"event":"lease not given back","error":/);
});
