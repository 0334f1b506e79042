import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { continueJob, resumeJob } from "../../cli/submission/attempts.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { inlineJob } from "../chaos/jobs.ts";
import { killEmulator, openTrials, undisturbed } from "../chaos/short-leases.ts";
import { kill, type Lab, waitFor } from "../support/lab.ts";

let lab: Lab;
let expected: string;

before(async () => {
  lab = await openTrials();
  expected = await undisturbed(lab, inlineJob("straight"));
});
after(() => lab.close());

const startAll = (job: string) => [
  lab.start("functions"),
  ...[0, 1].map((i) => lab.start("worker", { job, name: `${job}-worker-${i}` })),
];

const reached = (job: string, version: number) =>
  waitFor(
    async () => (((await lab.cloud.jobs.state(job)).state.version ?? -1) >= version ? true : null),
    `version ${version} of ${job}`,
    60_000,
  );

test("a job that was cancelled and resumed has the same bytes as one straight run", async () => {
  const spec = inlineJob("cancelled");
  await lab.submit(spec);
  const processes = startAll(spec.name);
  await reached(spec.name, 4);
  const stopped = await lab.cloud.jobs.end(spec.name, "stopped", "cancelled by its user");
  await wakeCoordinator(lab.cloud, spec.name, "cancelled");
  assert.ok((stopped.version ?? 0) < spec.steps, "it was stopped before its end");
  await waitFor(
    async () => ((await lab.cloud.store.list("active/cancelled/")).length === 0 ? true : null),
    "the cancelled job to be closed",
    30_000,
  );

  await resumeJob(lab.cloud, stopped, stopped.steps);
  processes.push(lab.start("worker", { job: spec.name, name: "after-resume" }));
  const state = await lab.ended(spec.name);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.equal(state.attempt, 2);
  assert.equal(await lab.digest(spec.name, spec.steps), expected);
  await Promise.all(processes.map(kill));
});

test("a job goes on to the same bytes after everything was killed at once", async () => {
  const spec = inlineJob("rebooted");
  await lab.submit(spec);
  const before = startAll(spec.name);
  await reached(spec.name, 5);
  await Promise.all([...before.map(kill), killEmulator(lab)]);

  await continueJob(lab.cloud, (await lab.cloud.jobs.state(spec.name)).state);
  const again = startAll(spec.name);
  const state = await lab.ended(spec.name);
  assert.equal(state.status, "succeeded", state.reason ?? "");
  assert.equal(await lab.digest(spec.name, spec.steps), expected);
  await Promise.all(again.map(kill));
});

test("a job that was trained to its end goes on when it is given more steps", async () => {
  const spec = inlineJob("more-steps");
  const longer = { ...spec, name: "longer", steps: spec.steps + 6 };
  const expectedLonger = await undisturbed(lab, longer);
  await undisturbed(lab, spec);
  await resumeJob(lab.cloud, (await lab.cloud.jobs.state(spec.name)).state, longer.steps);
  const processes = startAll(spec.name);
  const state = await lab.ended(spec.name);
  assert.equal(state.version, longer.steps);
  assert.equal(await lab.digest(spec.name, longer.steps), expectedLonger);
  await Promise.all(processes.map(kill));
});
