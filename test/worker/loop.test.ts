import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { InvalidInput, TryAgain } from "../../protocol/errors.ts";
import { type Task, type Update, updateSchema } from "../../protocol/messages.ts";
import { Leases } from "../../worker/lease.ts";
import { work } from "../../worker/loop.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

/** What a worker's loop does with a task that goes wrong. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** A job with one task, which was taken `taken` times before, and a worker whose `perform` throws `error`. */
async function failing(job: string, taken: number, error: Error) {
  const { cloud } = lab;
  const { attempt } = await lab.submit(linearJob(job));
  const url = (await cloud.queues.findTasks(job, attempt)) ?? "";
  await drain(url);
  const task: Task = { kind: "gradient", job, step: 0, rank: 0, dispatch: "1" };
  await cloud.queues.sendTasks(url, [task]);
  for (let i = 0; i < taken; i++) {
    const received = await cloud.queues.receive(url, new AbortController().signal);
    assert.ok(received && received !== "gone");
    await cloud.queues.lease(url, received.receipt, 0);
  }
  const stop = new AbortController();
  const held: boolean[] = [];
  const onLease = (lease: unknown) => {
    held.push(lease !== null);
    // The second call is about the lease's end: one task is enough.
    if (lease === null) stop.abort();
  };
  const leases = await Leases.open(cloud.queues, url, onLease);
  const perform = () => Promise.reject(error);
  await work({ cloud, job, attempt, leases, tasks: { perform }, idleMs: 10_000 }, stop.signal);
  assert.deepEqual(held, [true, false]);
  return cloud.queues.depth(url);
}

/** Empties a queue. */
async function drain(url: string): Promise<void> {
  const { queues } = lab.cloud;
  for (let { waiting } = await queues.depth(url); waiting > 0; waiting--) {
    const received = await queues.receive(url, new AbortController().signal);
    if (received && received !== "gone") await queues.acknowledge(url, received.receipt);
  }
}

/** The next update that ends a job. */
async function reasonOf(job: string): Promise<string> {
  const { queues, updates } = lab.cloud;
  for (;;) {
    const received = await queues.receive(updates, new AbortController().signal);
    assert.ok(received && received !== "gone", "a message comes");
    await queues.acknowledge(updates, received.receipt);
    const update: Update = updateSchema.parse(JSON.parse(received.body));
    if (update.kind === "fail" && update.job === job) return update.reason;
  }
}

test("what another try may mend is given back, and comes again after a while", async () => {
  assert.deepEqual(await failing("outage", 0, new TryAgain("S3 is away")), { waiting: 0, inFlight: 1 });
});

test("an outage that is still there at the last take ends the job with its own reason", async () => {
  const depth = await failing("long-outage", 19, new TryAgain("S3 is away"));
  assert.deepEqual(depth, { waiting: 0, inFlight: 0 });
  assert.equal(await reasonOf("long-outage"), "S3 is away");
});

test("an error of the model's own ends the job at its third take", async () => {
  await failing("fault", 2, new RangeError("no such row"));
  assert.equal(await reasonOf("fault"), "RangeError: no such row");
});

test("a reason that is too long for a message is cut", async () => {
  await failing("wordy", 0, new InvalidInput("x".repeat(50_000)));
  assert.equal(await reasonOf("wordy"), "x".repeat(10_000));
});
