import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { resumeJob } from "../../cli/submission/attempts.ts";
import { closeJob, failJob } from "../../cloud/close.ts";
import { keys } from "../../protocol/keys.ts";
import { taskSchema } from "../../protocol/messages.ts";
import { parseAs } from "../../protocol/parse.ts";
import type { State } from "../../protocol/records.ts";
import { HeldUpStore } from "../support/held-up-store.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob, waitFor } from "../support/lab.ts";

/** An ended job that is closed while somebody resumes it. */

let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

const pieces = (job: string) => lab.cloud.store.list(keys.gradients(job));

async function stopped(name: string): Promise<State> {
  await lab.submit(linearJob(name));
  return lab.cloud.jobs.end(name, "stopped", "by a test");
}

test("the gradients of an ended job go", async () => {
  const ended = await stopped("goes");
  await lab.cloud.store.create(keys.gradient("goes", 0, 0, 0), new Uint8Array(1));
  await closeJob(lab.cloud, ended);
  assert.deepEqual(await pieces("goes"), []);
});

test("gradients stay when the job was resumed by the time they were listed", async () => {
  const ended = await stopped("resumed");
  await lab.cloud.store.create(keys.gradient("resumed", 0, 0, 0), new Uint8Array(1));
  const store = new HeldUpStore(lab.target.environment, keys.gradients("resumed"), () =>
    resumeJob(lab.cloud, ended, ended.steps),
  );
  await closeJob({ ...lab.cloud, store }, ended);
  store.close();
  assert.equal((await pieces("resumed")).length, 1);
  assert.notEqual(await lab.cloud.queues.findTasks("resumed", 2), null, "the new attempt has its queue");
  await closeJob(lab.cloud, await lab.cloud.jobs.end("resumed", "stopped", "by a test"));
});

test("what a worker says of an attempt that was stopped does not end the one that followed", async () => {
  const ended = await stopped("late-word");
  await resumeJob(lab.cloud, ended, ended.steps);
  await failJob(lab.cloud, "late-word", "the first attempt's trouble", 1);
  const { state } = await lab.cloud.jobs.state("late-word");
  assert.deepEqual([state.status, state.attempt, state.reason], ["starting", 2, null]);
  assert.notEqual(await lab.cloud.queues.findTasks("late-word", 2), null);
  await failJob(lab.cloud, "late-word", "the second attempt's trouble", 2);
  const { state: after } = await lab.cloud.jobs.state("late-word");
  assert.deepEqual([after.status, after.reason], ["failed", "the second attempt's trouble"]);
});

/** Takes the gradient task of a rank out of the queue. */
async function takeTask(job: string, attempt: number, rank: number): Promise<void> {
  const url = (await lab.cloud.queues.findTasks(job, attempt)) ?? "";
  for (;;) {
    const received = await lab.cloud.queues.receive(url, new AbortController().signal);
    assert.ok(received && received !== "gone");
    const task = parseAs(taskSchema, received.body, "a task");
    if (task.kind === "gradient" && task.rank === rank)
      return lab.cloud.queues.acknowledge(url, received.receipt);
    await lab.cloud.queues.lease(url, received.receipt, 1);
  }
}

test("a piece that a resumed step counted on and that went too late costs time, and the result is the same", async () => {
  const spec = linearJob("late-close", { steps: 3 });
  await lab.run({ ...spec, name: "undisturbed" });
  // Trained to the end, then resumed to a further step; of that one rank's pieces are stored, and go.
  await lab.run({ ...spec, steps: 2 });
  const { state } = await lab.cloud.jobs.state(spec.name);
  const { attempt } = await resumeJob(lab.cloud, state, 3);
  await takeTask(spec.name, attempt, 1);
  const worker = lab.addWorker(spec.name, "a");
  await waitFor(async () => (await pieces(spec.name)).length === 3 || null, "a rank's pieces", 20_000);
  await lab.cloud.store.removeAll(keys.gradients(spec.name));
  const ended = await lab.ended(spec.name);
  await worker;
  assert.equal(ended.status, "succeeded", ended.reason ?? "");
  assert.equal(await lab.digest(spec.name, 3), await lab.digest("undisturbed", 3));
});
