import assert from "node:assert/strict";
import { test } from "node:test";
import type { SQSRecord } from "aws-lambda";
import { keys } from "../../protocol/keys.ts";
import { type Handler, openInProcess } from "../support/in-process.ts";
import { linearJob } from "../support/lab.ts";

const spec = linearJob("delivery", { steps: 12, evaluateEvery: 5, checkpointEvery: 4 });

test("messages delivered twice, late, and out of order across groups count once", async () => {
  const plain = await openInProcess();
  await plain.run(spec);
  const expected = await plain.digest(spec.name, spec.steps);
  await plain.close();

  const delivered: SQSRecord[] = [];
  const lab = await openInProcess(meddleWith(delivered));
  try {
    const state = await lab.run(spec);
    assert.equal(state.status, "succeeded", state.reason ?? "");
    assert.equal(await lab.digest(spec.name, spec.steps), expected);
    const manifest = await lab.cloud.jobs.manifest(spec.name, spec.steps);
    assert.ok(manifest);
    assert.equal(manifest.data.sequences, spec.steps * spec.ranks * spec.batch, "each gradient counted once");
    for (const shard of manifest.shards) assert.equal(new Set(shard.gradients).size, spec.ranks);
    const versions = await lab.cloud.store.listFolders(keys.versions(spec.name));
    await redeliver(lab, delivered);
    assert.deepEqual(await lab.cloud.store.listFolders(keys.versions(spec.name)), versions, "none came back");
    assert.equal(await lab.digest(spec.name, spec.steps), expected);
  } finally {
    await lab.close();
  }
});

/**
 * Gives the handler every message twice, groups in reverse order the second time, together with some that it had
 * long ago.
 */
function meddleWith(delivered: SQSRecord[]): (handler: Handler) => Handler {
  return (handler) => async (event) => {
    const result = await handler(event);
    delivered.push(...event.Records);
    const old = delivered.filter((_, i) => i % 7 === delivered.length % 7).slice(-3);
    const groups = Map.groupBy([...old, ...event.Records], (record) => record.attributes.MessageGroupId);
    await handler({ Records: [...groups.values()].reverse().flat() });
    return result;
  };
}

/** After the end, everything once more. */
async function redeliver(lab: Awaited<ReturnType<typeof openInProcess>>, delivered: readonly SQSRecord[]) {
  const { createHandlers } = await import("../../functions/handler.ts");
  const { cloud, updates } = createHandlers({ ...lab.target.environment });
  for (const record of delivered)
    assert.deepEqual((await updates({ Records: [record] })).batchItemFailures, []);
  cloud.close();
}
