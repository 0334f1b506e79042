import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { collectGarbage } from "../../functions/coordinator/collect-garbage.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import type { State } from "../../protocol/records.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

/** What a running job keeps: the last two versions, what still needs an older one, and the pieces of the present step. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

/** A job with versions and gradients of `numbers`; then garbage is collected at version `latest`. */
async function collected(
  job: string,
  { numbers, latest, ...rest }: { numbers: number[]; latest: number; spec?: object; state?: Partial<State> },
) {
  const { store } = lab.cloud;
  for (const number of numbers) {
    await store.create(keys.shard(job, number, 0), new Uint8Array(1));
    await store.create(keys.gradient(job, number, 0, 0), new Uint8Array(1));
  }
  const spec = linearJob(job, { steps: 100, ...rest.spec });
  const state = await lab.submit(spec);
  await collectGarbage(lab.cloud, spec, { ...state, version: latest, ...rest.state });
  return {
    versions: (await store.listFolders(keys.versions(job))).map(numberIn),
    gradients: (await store.listFolders(keys.gradients(job))).map(numberIn),
  };
}

test("the last two versions stay, and the gradients of the step that has not committed", async () => {
  const left = await collected("plain", { numbers: [3, 4, 5, 6, 7], latest: 7 });
  assert.deepEqual(left, { versions: [6, 7], gradients: [7] });
});

test("a version that another step may be making stays", async () => {
  const left = await collected("ahead", { numbers: [5, 6, 7, 8], latest: 7 });
  assert.deepEqual(left, { versions: [6, 7, 8], gradients: [7, 8] });
});

test("a version stays until its evaluation is stored", async () => {
  const changes = { spec: { evaluateEvery: 2 }, numbers: [1, 2, 4, 8, 9], latest: 9 };
  await lab.cloud.store.create(keys.evaluation("evaluated", 2), new Uint8Array(1));
  const { versions } = await collected("evaluated", changes);
  assert.deepEqual(versions, [4, 8, 9]);
});

test("versions of checkpoints stay, and the one that the state names", async () => {
  const checkpoint = { version: 3, sha256: "0".repeat(64) };
  const changes = { spec: { checkpointEvery: 5 }, state: { checkpoint } };
  const { versions } = await collected("kept", { numbers: [2, 3, 4, 5, 8, 9], latest: 9, ...changes });
  assert.deepEqual(versions, [3, 5, 8, 9]);
});
