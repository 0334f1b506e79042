import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from "@aws-sdk/client-sqs";
import { startEmulator } from "../../local/emulator/server.ts";
import { clientsOf, refusal, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
let ahead = 0;
const emulator = await startEmulator({
  dataDir: folder.path,
  idleSeconds: 600,
  now: () => Date.now() + ahead,
});
const { sqs } = clientsOf(emulator.endpoint);
after(() => {
  emulator.close();
  folder[Symbol.dispose]();
});

async function createQueue(QueueName: string, Attributes = {}): Promise<string> {
  const { QueueUrl = "" } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
  return QueueUrl;
}

function send(QueueUrl: string, MessageBody: string, fifo = {}) {
  return sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, ...fifo }));
}

async function receive(QueueUrl: string, WaitTimeSeconds: number, abortSignal?: AbortSignal) {
  const input = { QueueUrl, WaitTimeSeconds, MessageSystemAttributeNames: ["All" as const] };
  const options = abortSignal ? { abortSignal } : {};
  return (await sqs.send(new ReceiveMessageCommand(input), options)).Messages ?? [];
}

test("a client that has gone away during its long poll is given nothing", async () => {
  const url = await createQueue("gone");
  const leaving = new AbortController();
  const polls = [1, 2, 3].map(() => receive(url, 20, leaving.signal));
  await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url }));
  leaving.abort();
  for (const poll of polls) await assert.rejects(poll);
  await send(url, "kept");
  const [message] = await receive(url, 5);
  assert.equal(message?.Body, "kept");
  assert.equal(message?.Attributes?.ApproximateReceiveCount, "1");
});

test("a queue that is deleted tells those who wait for its messages", async () => {
  const url = await createQueue("deleted");
  const waiting = refusal(receive(url, 20));
  await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url }));
  await sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
  assert.deepEqual(await waiting, { name: "QueueDoesNotExist", status: 400 });
});

test("a deduplication id is remembered for five minutes", async () => {
  const url = await createQueue("five.fifo", { FifoQueue: "true", DeduplicationScope: "messageGroup" });
  const once = () => send(url, "x", { MessageGroupId: "g", MessageDeduplicationId: "same" });
  const { MessageId } = await once();
  ahead += 5 * 60_000 - 1000;
  assert.equal((await once()).MessageId, MessageId);
  ahead += 1000;
  assert.notEqual((await once()).MessageId, MessageId);
});

test("a lapsed lease, a delay and a redelivery follow the queue's own times", async () => {
  const url = await createQueue("times", { VisibilityTimeout: "600", DelaySeconds: "900" });
  await send(url, "x");
  assert.deepEqual(await receive(url, 0), []);
  ahead += 900_000;
  assert.equal((await receive(url, 0)).length, 1);
  ahead += 599_000;
  assert.deepEqual(await receive(url, 0), []);
  ahead += 1000;
  assert.equal((await receive(url, 0))[0]?.Attributes?.ApproximateReceiveCount, "2");
});
