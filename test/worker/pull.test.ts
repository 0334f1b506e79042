import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { keys } from "../../protocol/keys.ts";
import { pullFrozen, storeFrozen } from "../../worker/frozen.ts";
import { pull } from "../../worker/pull.ts";
import { begunJob } from "../support/begun-job.ts";
import { type Lab, openLab } from "../support/lab.ts";

/** A worker computes with the parameters that the manifest and the layout name, or not at all. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

async function layoutOf(job: string) {
  const layout = await lab.cloud.jobs.layout(job);
  assert.ok(layout);
  return layout;
}

async function pulled(job: string, version: number): Promise<Float32Array | null> {
  const layout = await layoutOf(job);
  const theta = new Float32Array(layout.parameters).fill(Number.NaN);
  return (await pull(lab.cloud, { job, version, layout, theta })) ? theta : null;
}

/** Changes one bit of an object's last byte. */
async function damage(key: string): Promise<void> {
  const stored = await lab.cloud.store.get(key);
  assert.ok(stored);
  const { body, etag } = stored;
  await lab.cloud.store.replace(key, body.with(-1, (body.at(-1) ?? 0) ^ 1), etag);
}

test("a version is pulled whole, and one that is not there is not", async () => {
  await begunJob(lab, "whole");
  assert.deepEqual(await pulled("whole", 0), new Float32Array(100));
  assert.equal(await pulled("whole", 1), null);
});

test("a shard that is not what its manifest says is refused", async () => {
  await begunJob(lab, "changed");
  await damage(keys.shard("changed", 0, 2));
  await assert.rejects(pulled("changed", 0), /shard 2 of version 0 is corrupt: its SHA-256 must be/);
});

test("frozen parameters that are not what the layout says are refused", async () => {
  const job = "frozen";
  await begunJob(lab, job);
  const twos = async (_: string, __: number, into: Float32Array) => void into.fill(2);
  const frozen = await storeFrozen(lab.cloud.store, job, [{ name: "still", shape: [5] }], twos);
  const layout = { ...(await layoutOf(job)), frozen };
  assert.deepEqual(await pullFrozen(lab.cloud, job, layout), new Float32Array(5).fill(2));
  await damage(keys.frozen(job));
  await assert.rejects(pullFrozen(lab.cloud, job, layout), /frozen\.safetensors is corrupt/);
});
