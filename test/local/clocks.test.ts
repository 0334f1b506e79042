import assert from "node:assert/strict";
import { test } from "node:test";
import { CreateBucketCommand } from "@aws-sdk/client-s3";
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand } from "@aws-sdk/client-sqs";
import { connect } from "../../cloud/connect.ts";
import { type EmulatorOptions, startEmulator } from "../../local/emulator/server.ts";
import { clientsOf, KEY, temporaryFolder } from "./support.ts";

/** The clock of a machine may be set while its data is there. */

const HOUR_MS = 3_600_000;
const inAnHour = () => Date.now() + HOUR_MS;

async function start(options: EmulatorOptions) {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const emulator = await startEmulator({ ...options, onClose: resolve });
  const close = async () => {
    emulator.close();
    await closed;
  };
  return { ...clientsOf(emulator.endpoint), endpoint: emulator.endpoint, close };
}

test("a message that was taken or delayed before the clock was set back comes again when its time is over", async () => {
  using folder = temporaryFolder();
  const before = await start({ dataDir: folder.path, now: inAnHour });
  const { QueueUrl } = await before.sqs.send(
    new CreateQueueCommand({ QueueName: "tasks", Attributes: { VisibilityTimeout: "1" } }),
  );
  await before.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "taken" }));
  assert.equal((await before.sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages?.length, 1);
  await before.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "delayed", DelaySeconds: 1 }));
  await before.close();

  const after = await start({ dataDir: folder.path });
  const bodies: (string | undefined)[] = [];
  for (let tries = 0; tries < 2 && bodies.length < 2; tries++) {
    const wait = { QueueUrl, WaitTimeSeconds: 5, MaxNumberOfMessages: 10, VisibilityTimeout: 60 };
    const { Messages = [] } = await after.sqs.send(new ReceiveMessageCommand(wait));
    bodies.push(...Messages.map(({ Body }) => Body));
  }
  await after.close();
  assert.deepEqual(bodies.sort(), ["delayed", "taken"]);
});

const storeAt = (endpoint: string) =>
  connect({
    ...{ AWS_ENDPOINT_URL: endpoint, AWS_REGION: "us-east-1" },
    ...{ AWS_ACCESS_KEY_ID: KEY.id, AWS_SECRET_ACCESS_KEY: KEY.secret },
    ...{ PS_BUCKET: "ages", PS_QUEUE_PREFIX: "ps_", PS_UPDATES_URL: "none" },
  }).store;

test("an object that was stored before the clock was set back has no negative age", async () => {
  using folder = temporaryFolder();
  const { s3, endpoint, close } = await start({ dataDir: folder.path, now: inAnHour });
  await s3.send(new CreateBucketCommand({ Bucket: "ages" }));
  const store = storeAt(endpoint);
  await store.create("one", new Uint8Array(1));
  assert.equal((await store.get("one"))?.ageMs, 0);
  assert.deepEqual(
    (await store.list("one")).map(({ ageMs }) => ageMs),
    [0],
  );
  await close();
});

test("the age of an object is by the server's clock, whatever this process takes the time to be", async (t) => {
  using folder = temporaryFolder();
  const yesterday = () => Date.now() - 24 * HOUR_MS;
  const { s3, endpoint, close } = await start({ dataDir: folder.path, now: yesterday });
  await s3.send(new CreateBucketCommand({ Bucket: "ages" }));
  const store = storeAt(endpoint);
  await store.create("one", new Uint8Array(1));
  // Node's own Date header does not ask Date.now.
  t.mock.method(Date, "now", () => 0);
  const age = (await store.get("one"))?.ageMs ?? 0;
  t.mock.restoreAll();
  await close();
  assert.ok(Math.abs(age - 24 * HOUR_MS) < 60_000, `got ${age}`);
});
