import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { SQSRecord } from "aws-lambda";
import { clientConfig } from "../../cloud/connect.ts";
import { deadLettersHandler } from "../../functions/dead-letters.ts";
import { watch } from "../../functions/watchdog/watch.ts";
import { keys } from "../../protocol/keys.ts";
import { Playground } from "../cli/command.ts";
import { accessOf } from "../support/addresses.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

/** Someone has damaged a job's `state.json`: every part says so with the key, and looks after the other jobs. */

const KEY = /jobs\/damaged\/state\.json is malformed \(status: /;
let lab: Lab;
let playground: Playground;
before(async () => {
  lab = await openLab();
  playground = new Playground(accessOf(lab.target.environment));
  await lab.submit(linearJob("damaged"));
  const s3 = new S3Client({ ...clientConfig(lab.target.environment), forcePathStyle: true });
  const { state } = await lab.cloud.jobs.state("damaged");
  const Body = JSON.stringify({ ...state, status: "fine" });
  const object = { Bucket: lab.target.environment.PS_BUCKET, Key: keys.state("damaged") };
  await s3.send(new PutObjectCommand({ ...object, Body }));
  s3.destroy();
});
after(async () => {
  await playground.close();
  await lab.close();
});

test("list shows it as damaged, and the other jobs as they are", async () => {
  await lab.submit(linearJob("sound"));
  await lab.cloud.jobs.end("sound", "stopped", "by a test");
  const { code, stdout, stderr } = await playground.run("list");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^damaged +damaged +- +- +-$/m);
  assert.match(stdout, /^sound +stopped +0\/20 /m);
  assert.match(stdout, new RegExp(`^note: ${KEY.source}`, "m"));
});

for (const verb of ["status", "watch", "cancel", "resume"]) {
  test(`${verb} says which object it is`, async () => {
    const { code, stderr } = await playground.run(verb, "damaged");
    assert.equal(code, 4);
    assert.match(stderr, KEY);
  });
}

test("the watchdog fails with it, and puts the other jobs away", async () => {
  // Listed after the damaged one.
  await lab.submit(linearJob("ended"));
  await lab.cloud.jobs.end("ended", "stopped", "by a test");
  await assert.rejects(watch(lab.cloud, { redispatchSeconds: 60 }), ({ errors }: AggregateError) =>
    KEY.test(String(errors[0])),
  );
  assert.deepEqual(await lab.cloud.store.list(keys.active("ended", 1)), []);
  assert.equal((await lab.cloud.store.list(keys.active("damaged", 1))).length, 1, "it goes on telling");
});

test("a dead letter of it holds up no other job's", async () => {
  await lab.submit(linearJob("killed"));
  const letter = (job: string) =>
    ({ messageId: job, attributes: { MessageGroupId: `${job}/coordinator` } }) as unknown as SQSRecord;
  const handle = deadLettersHandler(lab.cloud);
  await handle({ Records: [letter("damaged"), letter("killed")] });
  const { state } = await lab.cloud.jobs.state("killed");
  assert.equal(state.status, "failed");
});
