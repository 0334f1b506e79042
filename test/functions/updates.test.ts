import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SQSRecord } from "aws-lambda";
import { resumeJob } from "../../cli/submission/attempts.ts";
import { createServer } from "../../functions/server.ts";
import { updatesHandler } from "../../functions/updates.ts";
import { groupOf, type Update } from "../../protocol/messages.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

/** The function behind the `updates` queue, called as Lambda calls it. */

let lab: Lab;
before(async () => {
  lab = await openLab();
});
after(() => lab.close());

const recordOf = (update: Update, messageId: string) =>
  ({
    messageId,
    receiptHandle: "none",
    body: JSON.stringify(update),
    attributes: { MessageGroupId: groupOf(update), ApproximateReceiveCount: "1" },
  }) as unknown as SQSRecord;

/** Handles messages m0, m1, ... @returns the ids of those that are to come again */
async function handled(...updates: Update[]): Promise<string[]> {
  const records = updates.map((update, i) => recordOf(update, `m${i}`));
  const { batchItemFailures } = await updatesHandler(createServer(lab.cloud))({ Records: records });
  return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
}

const stateOf = async (job: string) => (await lab.cloud.jobs.state(job)).state;

test("a failure that is told of an earlier attempt does not end the one that followed", async () => {
  const job = "late-word";
  await lab.submit(linearJob(job));
  await resumeJob(lab.cloud, await lab.cloud.jobs.end(job, "stopped", "by a test"), 30);
  const fail = (attempt: number): Update => ({ kind: "fail", job, attempt, reason: `attempt ${attempt}` });
  assert.deepEqual(await handled(fail(1)), []);
  assert.equal((await stateOf(job)).status, "starting");
  assert.deepEqual(await handled(fail(2)), []);
  const { status, reason } = await stateOf(job);
  assert.deepEqual({ status, reason }, { status: "failed", reason: "attempt 2" });
});

test("what comes after a message that failed comes again with it, in its group only", async () => {
  await lab.submit(linearJob("held-back"));
  await lab.submit(linearJob("beside"));
  const checkpoint = (job: string, version: number): Update => ({ kind: "checkpoint", job, version });
  // No version is there yet, so these fail.
  const again = await handled(
    checkpoint("held-back", 1),
    { kind: "wake", job: "beside", redispatch: false },
    checkpoint("held-back", 2),
    checkpoint("held-back", 3),
  );
  assert.deepEqual(again, ["m0", "m2", "m3"]);
});
