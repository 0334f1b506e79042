import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SQSRecord } from "aws-lambda";
import { resumeJob } from "../../cli/submission/attempts.ts";
import type { Cloud } from "../../cloud/connect.ts";
import { createServer } from "../../functions/server.ts";
import { updatesHandler } from "../../functions/updates.ts";
import { TryAgain } from "../../protocol/errors.ts";
import { groupOf, type Update } from "../../protocol/messages.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";
import { withVerb } from "../support/with-verb.ts";

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
async function handled(cloud: Cloud, updates: readonly Update[]): Promise<string[]> {
  const records = updates.map((update, i) => recordOf(update, `m${i}`));
  const { batchItemFailures } = await updatesHandler(createServer(cloud))({ Records: records });
  return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
}

const stateOf = async (job: string) => (await lab.cloud.jobs.state(job)).state;

test("a failure that is told of an earlier attempt does not end the one that followed", async () => {
  const job = "late-word";
  await lab.submit(linearJob(job));
  await resumeJob(lab.cloud, await lab.cloud.jobs.end(job, "stopped", "by a test"), 30);
  const fail = (attempt: number): Update => ({ kind: "fail", job, attempt, reason: `attempt ${attempt}` });
  assert.deepEqual(await handled(lab.cloud, [fail(1)]), []);
  assert.equal((await stateOf(job)).status, "starting");
  assert.deepEqual(await handled(lab.cloud, [fail(2)]), []);
  const { status, reason } = await stateOf(job);
  assert.deepEqual({ status, reason }, { status: "failed", reason: "attempt 2" });
});

test("what comes after a message that failed comes again with it, in its group only", async () => {
  for (const job of ["held-back", "beside"]) await lab.submit(linearJob(job));
  const { jobs } = lab.cloud;
  let failures = 0;
  const failing = withVerb(jobs, "record", (job) => {
    if (job === "held-back" && failures++ === 0) throw new TryAgain("broken by a test");
    return jobs.record(job);
  });
  const wake = (job: string): Update => ({ kind: "wake", job, redispatch: false });
  const updates = ["held-back", "beside", "held-back", "held-back"].map(wake);
  assert.deepEqual(await handled({ ...lab.cloud, jobs: failing }, updates), ["m0", "m2", "m3"]);
  assert.equal(failures, 1, "the later ones were not handled before it");
});
