import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { S3Client } from "@aws-sdk/client-s3";
import type { SQSRecord } from "aws-lambda";
import { clientConfig } from "../../cloud/connect.ts";
import { Jobs } from "../../cloud/jobs.ts";
import { Store } from "../../cloud/store.ts";
import { deadLettersHandler } from "../../functions/dead-letters.ts";
import { TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

let lab: Lab;
let s3: S3Client;
before(async () => {
  lab = await openLab();
  s3 = new S3Client({ ...clientConfig(lab.target.environment), forcePathStyle: true });
});
after(async () => {
  s3.destroy();
  await lab.close();
});

/** A store that has one job's state out of reach. */
class Away extends Store {
  override async get(key: string) {
    if (key === keys.state("away")) throw new TryAgain("S3 is out of reach");
    return super.get(key);
  }
}

test("a job that can't be ended just now does not keep the others of its batch from it, and comes back", async () => {
  const { name } = linearJob("behind");
  await lab.submit(linearJob(name));
  const store = new Away(s3, lab.target.environment.PS_BUCKET);
  const handler = deadLettersHandler({ ...lab.cloud, store, jobs: new Jobs(store) });
  const Records = ["away/0", `${name}/0`].map(
    (MessageGroupId, i) => ({ messageId: `m-${i}`, body: "?", attributes: { MessageGroupId } }) as SQSRecord,
  );
  await assert.rejects(handler({ Records }), /1 jobs could not be ended/);
  const { state } = await lab.cloud.jobs.state(name);
  assert.equal(state.status, "failed");
  assert.match(state.reason ?? "", /the aggregator of shard 0 could not handle a message.*m-1/);
});
