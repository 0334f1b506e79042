import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { findLeftovers } from "../../../cli/leftovers/find.ts";
import { resumeJob } from "../../../cli/submission/attempts.ts";
import { createRecord } from "../../../cli/submission/job-record.ts";
import type { LocalTarget } from "../../../cli/targets/target.ts";
import { clientConfig } from "../../../cloud/connect.ts";
import { Store } from "../../../cloud/store.ts";
import { living } from "../../../cloud/worker-groups.ts";
import { keys } from "../../../protocol/keys.ts";
import { type BatchLab, openBatchLab } from "../../functions/batch-lab.ts";
import { accessOf } from "../../support/addresses.ts";
import { linearJob, waitFor } from "../../support/lab.ts";
import { Playground } from "../command.ts";
import { type FakeServices, startFakeServices } from "../fake-services.ts";

/** `ps-submit cleanup`: each kind of leftover made by hand, beside jobs that must not lose anything. */

const FOREVER = { SCRIPT: "exec sleep 600" };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let lab: BatchLab;
let services: FakeServices;
let playground: Playground;
let s3: S3Client;
before(async () => {
  lab = await openBatchLab({ command: ["/bin/sh", "-c", 'eval "$SCRIPT"'], vcpus: 8, secondMs: 2 });
  services = await startFakeServices({});
  s3 = new S3Client({ ...clientConfig(lab.environment), forcePathStyle: true });
  const parameters = {
    bucket: lab.environment.PS_BUCKET,
    "updates-url": lab.environment.PS_UPDATES_URL,
    "queue-prefix": lab.environment.PS_QUEUE_PREFIX,
    "logs/updates": "/none",
    "logs/dead-letters": "/none",
    "logs/watchdog": "/none",
    "logs/workers": "/none",
    "job-queue/cpu": "ps-cpu",
    "job-definition/cpu": "test-worker:1",
    "image/cpu": "worker",
  };
  for (const [name, value] of Object.entries(parameters))
    services.parameters.set(`/serverless-ps/ps/${name}`, value ?? "");
  playground = new Playground({
    ...accessOf(lab.environment),
    AWS_ENDPOINT_URL_BATCH: lab.environment.AWS_ENDPOINT_URL_BATCH ?? "",
    AWS_ENDPOINT_URL_SSM: services.endpoint,
    PS_STACK: "ps",
  });
});
after(async () => {
  s3.destroy();
  services.close();
  await playground.close();
  await lab.close();
});

const mark = (job: string, attempt = 1) =>
  lab.cloud.store.create(keys.active(job, attempt), new Uint8Array());
const push = (job: string, rank = 0) =>
  lab.cloud.store.create(keys.gradient(job, 0, 0, rank), new Uint8Array(100));
const stop = (job: string) => lab.cloud.jobs.end(job, "stopped", "by a test");

/** What there is of an attempt. */
async function thingsOf(job: string, attempt = 1) {
  const { queues, store, batch } = lab.cloud;
  const groups = await batch.groups(job, attempt);
  return {
    queue: (await queues.tasksCreatedAt(job, attempt)) !== null,
    marker: (await store.list(keys.active(job, attempt))).length === 1,
    workers: groups.reduce((sum, group) => sum + living(group), 0),
    gradients: (await store.list(keys.gradients(job))).length,
  };
}

const NOTHING = { queue: false, marker: false, workers: 0, gradients: 0 };

/** What is found of one job, were it `ms` later. */
async function found(job: string, ms = 0, target: LocalTarget = lab.target) {
  const told: string[] = [];
  const all = await findLeftovers(target, (problem) => told.push(problem), Date.now() + ms);
  const leftovers = all.filter(({ parts }) => parts.some((part) => part.includes(job)));
  return { leftovers, told: told.filter((text) => text.includes(job)) };
}

test("what crashes left is shown, and removed with --yes; what running jobs have stays", async () => {
  // A job that runs; one that was resumed and left its first attempt; one that ended; one that never was.
  await lab.submit(linearJob("runs"));
  await lab.workers("runs", 1, FOREVER);
  await push("runs");
  await lab.submit(linearJob("resumed"));
  await lab.workers("resumed", 1, FOREVER);
  await resumeJob(lab.cloud, await stop("resumed"), 20);
  await lab.workers("resumed", 1, FOREVER, 2);
  await push("resumed");
  await lab.submit(linearJob("ended"));
  const array = await lab.workers("ended", 2, FOREVER);
  await push("ended", 0);
  await push("ended", 1);
  await stop("ended");
  await lab.cloud.queues.createTasks("never-was", 3, 30);
  await mark("never-was", 3);
  await push("never-was");
  const before = await thingsOf("ended");
  assert.deepEqual(before, { queue: true, marker: true, workers: 2, gradients: 2 });

  const shown = await playground.run("cleanup");
  assert.equal(shown.code, 0, shown.stderr);
  const lines = shown.stdout.trimEnd().split("\n");
  assert.match(
    lines.pop() ?? "",
    /^nothing was removed; remove these 10 with: npx ps-submit cleanup --yes --stack ps$/,
  );
  const ended = "the job has ended: stopped";
  const superseded = "attempt 2 superseded it";
  const unknown = "there is no such job";
  const [worker = ""] = (await lab.cloud.batch.groups("resumed", 1)).map(({ id }) => id);
  assert.deepEqual(
    lines.map((line) => line.replace(/, (SUBMITTED|PENDING|RUNNABLE|STARTING|RUNNING):/, ":")).sort(),
    [
      `left over 1 gradient below gradients/never-was/, 100B: ${unknown}`,
      `left over 1 worker, AWS Batch job ${worker}: ${superseded}`,
      `left over 2 gradients below gradients/ended/, 200B: ${ended}`,
      `left over 2 workers, AWS Batch job ${array}: ${ended}`,
      `left over marker active/ended/1: ${ended}`,
      `left over marker active/never-was/3: ${unknown}`,
      `left over marker active/resumed/1: ${superseded}`,
      `left over task queue ps-ended-tasks-1: ${ended}`,
      `left over task queue ps-never-was-tasks-3: ${unknown}`,
      `left over task queue ps-resumed-tasks-1: ${superseded}`,
    ],
  );
  assert.deepEqual(await thingsOf("ended"), before, "only shown");

  const removed = await playground.run("cleanup", "--yes");
  assert.equal(removed.code, 0, removed.stderr);
  assert.match(removed.stdout, /^removed +task queue ps-ended-tasks-1: the job has ended: stopped$/m);
  const none = async (job: string, attempt: number) => {
    const there = await thingsOf(job, attempt);
    return JSON.stringify(there) === JSON.stringify(NOTHING) || null;
  };
  await waitFor(() => none("ended", 1), "nothing of the ended job", 20_000);
  assert.deepEqual(await thingsOf("never-was", 3), NOTHING);
  const first = async () => ((await thingsOf("resumed", 1)).workers === 0 ? true : null);
  await waitFor(first, "the end of the first attempt's workers", 20_000);
  const kept = { queue: true, marker: true, workers: 1, gradients: 1 };
  assert.deepEqual(await thingsOf("resumed", 1), { ...NOTHING, gradients: 1 });
  assert.deepEqual(await thingsOf("resumed", 2), kept);
  assert.deepEqual(await thingsOf("runs"), kept);
  const again = await playground.run("cleanup");
  assert.equal(again.stdout, "nothing is left over on stack ps\n");
});

test("an attempt that is ahead of its job's state is left alone for an hour, and for good once it began", async () => {
  await lab.submit(linearJob("ahead"));
  const state = await stop("ahead");
  await lab.cloud.queues.createTasks("ahead", 2, 10);
  await mark("ahead", 2);
  const parts = async (ms: number) => (await found("ahead", ms)).leftovers.flatMap((one) => one.parts);
  assert.deepEqual(await parts(0), ["task queue ps-ahead-tasks-1", "marker active/ahead/1"]);
  assert.equal((await parts(2 * HOUR_MS)).length, 4);
  const { leftovers } = await found("ahead", 2 * HOUR_MS);
  await resumeJob(lab.cloud, state, 20);
  const outcomes = [];
  for (const { remove } of leftovers) outcomes.push(await remove?.());
  assert.deepEqual(outcomes.sort(), [false, true]);
  assert.equal((await thingsOf("ahead", 1)).queue, false);
  const { queue, marker } = await thingsOf("ahead", 2);
  assert.deepEqual({ queue, marker }, { queue: true, marker: true });
});

test("gradients of a job that is resumed before they go, stay", async () => {
  await lab.submit(linearJob("late"));
  const state = await stop("late");
  await push("late");
  const { leftovers } = await found("gradients/late");
  await resumeJob(lab.cloud, state, 20);
  assert.deepEqual(await Promise.all(leftovers.map(({ remove }) => remove?.())), [false]);
  assert.deepEqual(await thingsOf("late", 2), { queue: true, marker: true, workers: 0, gradients: 1 });
});

test("what another process of this machine works on is not found, and not removed", async () => {
  await lab.submit(linearJob("claimed"));
  await stop("claimed");
  const { leftovers } = await found("claimed");
  const claim = await lab.target.claim("claimed");
  assert.deepEqual((await found("claimed")).leftovers, []);
  assert.deepEqual(await Promise.all(leftovers.map(({ remove }) => remove?.())), [false]);
  assert.equal((await thingsOf("claimed")).queue, true);
  claim?.release();
});

async function halfSubmitted(name: string): Promise<void> {
  const { provenance } = await lab.cloud.jobs.record("runs");
  await createRecord(lab.cloud, { spec: linearJob(name), dataset: null, provenance });
}
const hasRecord = async (job: string) => (await lab.cloud.store.find(keys.job(job))) !== null;

test("a submission that died is reported with what finishes it, and forgotten after a day", async () => {
  await halfSubmitted("half");
  const [young] = (await found("half")).leftovers;
  assert.match(
    young?.why ?? "",
    /^it was not submitted to the end, .* ago; finish that with: npx ps-submit JOBFILE$/,
  );
  assert.equal(young?.remove, null);
  const [old] = (await found("half", DAY_MS + HOUR_MS)).leftovers;
  assert.equal(await old?.remove?.(), true);
  assert.equal(await hasRecord("half"), false);
});

test("a record whose submission is made whole while it is to go, stays", async () => {
  await halfSubmitted("in-time");
  const [before] = (await found("in-time", DAY_MS + HOUR_MS)).leftovers;
  await mark("in-time");
  assert.equal(await before?.remove?.(), false);
  assert.equal(await hasRecord("in-time"), true);

  await halfSubmitted("just-so");
  class Overtaken extends Store {
    override async remove(gone: readonly string[]): Promise<void> {
      await super.remove(gone);
      await mark("just-so");
    }
  }
  const cloud = { ...lab.cloud, store: new Overtaken(s3, lab.environment.PS_BUCKET ?? "") };
  const [during] = (await found("just-so", DAY_MS + HOUR_MS, { ...lab.target, cloud })).leftovers;
  assert.equal(await during?.remove?.(), false);
  assert.equal(await hasRecord("just-so"), true, "it was put back");
});

test("an upload in parts is left over when nothing came for a day", async () => {
  const object = { Bucket: lab.environment.PS_BUCKET, Key: keys.dataset("0".repeat(64), "tokens.bin") };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(object));
  const begun = Date.now();
  await waitFor(async () => (Date.now() > begun + 1 ? true : null), "the clock to go on", 1000);
  const time = new Date();
  assert.equal((await lab.cloud.store.unfinishedUploads(time)).length, 1);
  await s3.send(new UploadPartCommand({ ...object, UploadId, PartNumber: 1, Body: "part" }));
  assert.deepEqual(await lab.cloud.store.unfinishedUploads(time), [], "a part came since");
  assert.deepEqual((await found("upload")).leftovers, []);
  const [upload] = (await found("upload", DAY_MS + HOUR_MS)).leftovers;
  assert.deepEqual(upload?.parts, [`unfinished upload to ${object.Key}`]);
  assert.equal(await upload?.remove?.(), true);
  assert.equal(await upload?.remove?.(), false, "it is gone");
  assert.deepEqual(await lab.cloud.store.unfinishedUploads(new Date(Date.now() + DAY_MS)), []);
});

test("of a job whose state is damaged nothing is touched, and that is said", async () => {
  await lab.submit(linearJob("damaged"));
  const Key = keys.state("damaged");
  await s3.send(new PutObjectCommand({ Bucket: lab.environment.PS_BUCKET, Key, Body: '{"job": "dam' }));
  const { leftovers, told } = await found("damaged", 30 * DAY_MS);
  assert.deepEqual(leftovers, []);
  assert.deepEqual(told, ["jobs/damaged/state.json is not JSON; nothing of damaged is touched"]);
});

test("embedded, and at an endpoint, the same is found and removed", async () => {
  await lab.submit(linearJob("elsewhere"));
  await stop("elsewhere");
  await push("elsewhere");
  const { AWS_ENDPOINT_URL: endpoint, ...keysOfLab } = accessOf(lab.environment);
  const here = new Playground(keysOfLab);
  const target = ["--endpoint-url", endpoint];
  const shown = await here.run("cleanup", ...target);
  assert.match(shown.stdout, /^left over 1 gradient below gradients\/elsewhere\/, 100B: the job has ended/m);
  const removed = await here.run("cleanup", "--yes", ...target);
  assert.equal(removed.code, 0, removed.stderr);
  assert.match(removed.stdout, /^removed +task queue ps-elsewhere-tasks-1: the job has ended: stopped$/m);
  assert.deepEqual(await thingsOf("elsewhere"), NOTHING);

  const { spec } = await lab.cloud.jobs.record("runs");
  here.write("job.json", { ...spec, name: "whole", steps: 2, workers: 1 });
  const run = await here.run("job.json");
  assert.equal(run.code, 0, run.stderr);
  const after = await here.run("cleanup");
  assert.equal(after.stdout, `nothing is left over in ${here.dataDir}\n`);
  await here.close();
});

test("a folder without jobs has nothing left over", async () => {
  const empty = new Playground();
  const { code, stdout } = await empty.run("cleanup");
  assert.deepEqual([code, stdout], [0, `nothing is left over in ${empty.dataDir}\n`]);
  await empty.close();
});
