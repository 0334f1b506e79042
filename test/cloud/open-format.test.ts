import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { findAssembly, modelParts } from "../../cloud/open-format.ts";
import { keys } from "../../protocol/keys.ts";
import type { Frozen } from "../../protocol/layout.ts";
import { storeFrozen } from "../../worker/frozen.ts";
import { begunJob } from "../support/begun-job.ts";
import { type Lab, openLab } from "../support/lab.ts";

/** A checkpoint is made of the bytes that the manifest and the layout name, or not at all. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** The size of a job's version 0 as `model.safetensors`, all of whose bytes are read. */
async function modelSize(job: string, frozen?: Frozen): Promise<number> {
  const { layout, ...assembly } = await findAssembly(lab.cloud, job, 0);
  const parts = modelParts(lab.cloud, { ...assembly, layout: { ...layout, frozen } }, () => {});
  let size = 0;
  for await (const part of parts) size += part.length;
  return size;
}

/** Changes one bit of an object, `fromEnd` bytes before its end. */
async function damage(key: string, fromEnd: number): Promise<void> {
  const stored = await lab.cloud.store.get(key);
  assert.ok(stored);
  const { body, etag } = stored;
  const place = body.length - fromEnd;
  await lab.cloud.store.replace(key, body.with(place, (body[place] ?? 0) ^ 1), etag);
}

test("a shard that is not what the manifest says is refused by its name", async () => {
  await begunJob(lab, "shard");
  assert.ok((await modelSize("shard")) > 400);
  await damage(keys.shard("shard", 0, 1), 1);
  await assert.rejects(modelSize("shard"), /shard 1 of version 0 is corrupt: its SHA-256 must be/);
});

test("frozen parameters that are not what the layout says are refused by their key", async () => {
  await begunJob(lab, "frozen");
  const ones = async (_: string, __: number, into: Float32Array) => void into.fill(1);
  const frozen = await storeFrozen(lab.cloud.store, "frozen", [{ name: "still", shape: [50] }], ones);
  assert.ok((await modelSize("frozen", frozen)) > 600);
  await damage(keys.frozen("frozen"), 1);
  await assert.rejects(
    modelSize("frozen", frozen),
    /jobs\/frozen\/frozen\.safetensors is corrupt: its SHA-256 must be/,
  );
});
