import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { keys } from "../../protocol/keys.ts";
import type { Update } from "../../protocol/messages.ts";
import { encodePiece } from "../../protocol/piece.ts";
import { initialize } from "../../worker/init.ts";
import { type InProcess, openInProcess } from "../support/in-process.ts";
import { linearJob, waitFor } from "../support/lab.ts";

/** What must never be applied ends the job with a reason, and leaves the parameters as they were. */

const report = { loss: 1, tokens: 8, pullMs: 0, computeMs: 0, pushMs: 0, worker: "test" };
let lab: InProcess;
before(async () => {
  lab = await openInProcess();
});
after(() => lab.close());

/** A job with version 0 and its tasks dispatched, and no worker. */
async function begun(name: string, changes = {}) {
  const spec = linearJob(name, changes);
  await lab.submit(spec);
  await initialize(lab.cloud, await lab.cloud.jobs.record(name), null);
  await wakeCoordinator(lab.cloud, name, "initialized");
  const version = async () => (await lab.cloud.jobs.state(name)).state.version;
  await waitFor(async () => ((await version()) === null ? null : true), "version 0", 30_000);
  return spec;
}

async function send(update: Update): Promise<void> {
  await lab.cloud.queues.sendUpdates(lab.cloud.updates, [update], () => randomUUID());
}

const gradient = (job: string, values: Float32Array, rank = 0): Update => ({
  kind: "gradient",
  job,
  step: 0,
  shard: 1,
  rank,
  dispatch: "test",
  inline: Buffer.from(encodePiece({ job, step: 0, shard: 1, rank }, values, report)).toString("base64"),
});

/** Waits for the failure and checks that version 0 is still the latest. */
async function failure(job: string): Promise<string> {
  const state = await lab.ended(job);
  assert.equal(state.status, "failed");
  assert.equal(state.version, 0);
  assert.equal(await lab.cloud.jobs.manifest(job, 1), null, "there is no version 1");
  return state.reason ?? "";
}

const slow = { stallMinutes: 1, model: { type: "linear", inputs: 10, outputs: 10 } };

test("a gradient of the wrong length ends the job and names step, rank and lengths", async () => {
  const { name } = await begun("short-gradient", slow);
  await send(gradient(name, new Float32Array(5)));
  assert.match(await failure(name), /step 0, rank 0: the gradient of shard 1 must have 33 elements, got 5/);
});

test("a gradient with NaN ends the job and names step, rank and tensor", async () => {
  const { name } = await begun("nan-gradient", slow);
  const values = new Float32Array(33);
  values[7] = Number.NaN;
  await send(gradient(name, values));
  assert.match(await failure(name), /step 0, rank 0: the gradient of w is not finite/);
});

test("finite gradients whose sum is not end the job before there is such a version", async () => {
  const { name } = await begun("overflow", {
    ...slow,
    optimizer: { type: "sgd", learningRate: 1 },
    reduce: "sum",
  });
  const huge = new Float32Array(33).fill(3e38);
  await send(gradient(name, huge));
  await send(gradient(name, huge, 1));
  assert.match(await failure(name), /step 0: the update of w is not finite/);
});

test("a gradient whose bytes were changed on the way ends the job", async () => {
  const { name } = await begun("changed-gradient", slow);
  const update = gradient(name, new Float32Array(33));
  const bytes = Buffer.from(update.kind === "gradient" ? (update.inline ?? "") : "", "base64");
  bytes[bytes.length - 1] = 1;
  await send({ ...update, inline: bytes.toString("base64") } as Update);
  assert.match(await failure(name), /its bytes do not match its digest/);
});

for (const [what, damage] of Object.entries({
  truncated: (file: Uint8Array) => file.slice(0, -40),
  corrupt: (file: Uint8Array) => file.with(file.length - 300, 0x55),
})) {
  test(`a ${what} shard ends the job and names shard and version`, async () => {
    const { name } = await begun(`${what}-shard`, slow);
    const key = keys.shard(name, 0, 2);
    const stored = await lab.cloud.store.get(key);
    assert.ok(stored);
    await lab.cloud.store.replace(key, damage(stored.body), stored.etag);
    void lab.addWorker(name, "victim");
    assert.match(await failure(name), new RegExp(`shard 2 of version 0 is ${what}`));
  });
}

test("a shard whose bytes are lost in the embedded store ends the job at once and names its key and file", async () => {
  const bodies = join(lab.target.home, "bodies");
  const before = new Set(readdirSync(bodies));
  const { name } = await begun("lost-body", {
    ...slow,
    model: { type: "linear", inputs: 300, outputs: 100 },
    shards: 1,
  });
  for (const file of readdirSync(bodies)) if (!before.has(file)) rmSync(join(bodies, file));
  const worker = lab.addWorker(name, "reader");
  assert.match(
    await failure(name),
    /jobs\/lost-body\/versions\/\S+ is damaged: its file \S+\/bodies\/\S+ is missing/,
  );
  await worker;
});
