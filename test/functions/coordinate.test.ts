import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { resumeJob } from "../../cli/submission/attempts.ts";
import type { Cloud } from "../../cloud/connect.ts";
import { Jobs } from "../../cloud/jobs.ts";
import { aggregate } from "../../functions/aggregator/aggregate.ts";
import { checkpoint } from "../../functions/checkpointer/checkpoint.ts";
import { coordinate } from "../../functions/coordinator/coordinate.ts";
import { createServer } from "../../functions/server.ts";
import { TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { initialize } from "../../worker/init.ts";
import { begunJob, messageOf, pieceFile, takeUpdates } from "../support/begun-job.ts";
import { HeldUpStore } from "../support/held-up-store.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";
import { withVerb } from "../support/with-verb.ts";

/** The coordinator's order: manifest, tasks, state. And what comes too late changes nothing. */

let lab: Lab;
let cloud: Cloud;
before(async () => {
  lab = await openLab();
  cloud = lab.cloud;
});
after(() => lab.close());

const stateOf = async (job: string) => (await cloud.jobs.state(job)).state;

/** A job whose version 0 is stored and not yet committed. */
async function initialized(job: string): Promise<void> {
  await lab.submit(linearJob(job));
  await initialize(cloud, await cloud.jobs.record(job), null);
}

async function waitingTasks(job: string): Promise<number> {
  const url = await cloud.queues.findTasks(job, 1);
  assert.ok(url);
  return (await cloud.queues.depth(url)).waiting;
}

const broken = () => Promise.reject(new TryAgain("broken by a test"));

test("a state that names a version means that its tasks were sent", async () => {
  await initialized("tasks-first");
  const queues = withVerb(cloud.queues, "sendTasks", broken);
  await assert.rejects(coordinate({ ...cloud, queues }, "tasks-first", false), /broken by a test/);
  assert.equal((await stateOf("tasks-first")).version, null);

  await coordinate(cloud, "tasks-first", false);
  assert.equal((await stateOf("tasks-first")).version, 0);
  assert.equal(await waitingTasks("tasks-first"), 2);
});

test("a task that was sent means that its version exists", async () => {
  await initialized("manifest-first");
  const before = await waitingTasks("manifest-first");
  const jobs = new Jobs(withVerb(cloud.store, "create", broken));
  await assert.rejects(coordinate({ ...cloud, jobs }, "manifest-first", false), /broken by a test/);
  assert.equal(await waitingTasks("manifest-first"), before);
  assert.equal((await stateOf("manifest-first")).version, null);
});

/** Looks at a job in whose present step nothing is new, while `then` happens. */
async function coordinateWhile(job: string, then: () => Promise<unknown>): Promise<void> {
  const store = new HeldUpStore(lab.target.environment, keys.evaluations(job), then);
  await coordinate({ ...cloud, store }, job, false);
  store.close();
}

/** Something for the coordinator to write down: an evaluation that the state does not show yet. */
async function storeEvaluation(job: string): Promise<void> {
  const evaluation = { version: 0, loss: 1, sequences: 1, worker: "test" };
  await cloud.store.create(keys.evaluation(job, 0), Buffer.from(JSON.stringify(evaluation)));
}

test("a job that was ended while it was looked at stays as it ended", async () => {
  await begunJob(lab, "ended");
  await storeEvaluation("ended");
  await coordinateWhile("ended", () => cloud.jobs.end("ended", "stopped", "by a test"));
  const { status, reason, evaluation } = await stateOf("ended");
  assert.deepEqual(
    { status, reason, evaluation },
    { status: "stopped", reason: "by a test", evaluation: null },
  );
});

test("a job that was resumed while it was looked at is as the resume left it", async () => {
  await begunJob(lab, "resumed");
  await storeEvaluation("resumed");
  await coordinateWhile("resumed", async () =>
    resumeJob(cloud, await cloud.jobs.end("resumed", "stopped", "by a test"), 30),
  );
  const { status, attempt, evaluation } = await stateOf("resumed");
  assert.deepEqual({ status, attempt, evaluation }, { status: "starting", attempt: 2, evaluation: null });
});

test("when tasks are sent again, the aggregator that has all its pieces is woken", async () => {
  const job = "woken";
  const { ranks } = await begunJob(lab, job);
  for (let rank = 0; rank < ranks; rank++) {
    const name = { job, step: 0, shard: 1, rank };
    await cloud.store.create(keys.gradient(job, 0, 1, rank), pieceFile(name, 33));
  }
  await takeUpdates(cloud);
  await coordinate(cloud, job, true);
  const woken = (await takeUpdates(cloud)).filter((update) => update.kind === "gradient");
  assert.deepEqual(
    woken.map(({ step, shard, inline }) => ({ step, shard, inline })),
    [{ step: 0, shard: 1, inline: null }],
  );
  await aggregate(createServer(cloud), woken);
  assert.ok(await cloud.store.find(keys.shard(job, 1, 1)), "it makes the shard's next version");
});

test("a job succeeds once its last version has its checkpoint, not before", async () => {
  const job = "finishing";
  await begunJob(lab, job, { steps: 1, ranks: 1, shards: 1 });
  const name = { job, step: 0, shard: 0, rank: 0 };
  await aggregate(createServer(cloud), [messageOf(name, pieceFile(name, 100))]);
  await coordinate(cloud, job, false);
  await coordinate(cloud, job, false);
  const { status, version } = await stateOf(job);
  assert.deepEqual({ status, version }, { status: "finishing", version: 1 });
  await checkpoint(cloud, job, 1);
  await coordinate(cloud, job, false);
  assert.equal((await stateOf(job)).status, "succeeded");
});
