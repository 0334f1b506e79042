import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { SQSClient } from "@aws-sdk/client-sqs";
import { clientConfig } from "../../cloud/connect.ts";
import { Queues } from "../../cloud/queues.ts";
import { Keeper } from "../../worker/keeper.ts";
import { type Lab, openLab } from "../support/lab.ts";

/** What a worker's keeper does with a lease, and what it says. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** A keeper that holds a task, and what is logged from now on. */
async function holding(t: TestContext, job: string) {
  const { queues } = lab.cloud;
  await queues.createTasks(job, 1, 600);
  const url = (await queues.findTasks(job, 1)) ?? "";
  await queues.sendTasks(url, [{ kind: "init", job, handout: "1" }]);
  const received = await queues.receive(url, new AbortController().signal);
  assert.ok(received && received !== "gone");
  const keeper = new Keeper(queues);
  keeper.hold({ url, receipt: received.receipt, seconds: 600 });
  t.after(() => keeper.hold(null));
  const logged: string[] = [];
  t.mock.method(process.stderr, "write", (text: string) => logged.push(text) > 0);
  return { keeper, queues, url, receipt: received.receipt, logged };
}

test("a lease that is held is given back", async (t) => {
  const { keeper, queues, url, logged } = await holding(t, "held");
  await keeper.giveBack();
  assert.deepEqual(await queues.depth(url), { waiting: 1, inFlight: 0 });
  assert.deepEqual(logged, []);
});

test("of a task that was done a moment before, and of a job that has ended, nothing is said", async (t) => {
  const done = await holding(t, "done");
  await done.queues.acknowledge(done.url, done.receipt);
  await done.keeper.giveBack();
  assert.deepEqual(done.logged, []);
  t.mock.restoreAll();
  const ended = await holding(t, "ended");
  await ended.queues.removeTasks("ended", 1);
  await ended.keeper.giveBack();
  assert.deepEqual(ended.logged, []);
});

test("a queue that does not answer is told of, and is no error", async (t) => {
  const { url, receipt, logged } = await holding(t, "silent");
  const nowhere = { ...lab.target.environment, AWS_ENDPOINT_URL: "http://127.0.0.1:1" };
  const client = new SQSClient({ ...clientConfig(nowhere), maxAttempts: 1, useQueueUrlAsEndpoint: false });
  const keeper = new Keeper(new Queues(client, "ps-"));
  keeper.hold({ url, receipt, seconds: 600 });
  await keeper.giveBack();
  client.destroy();
  assert.match(logged.join(""), /"event":"lease not given back","error":/);
});
