import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Message, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import type { SQSRecord } from "aws-lambda";
import { clientConfig } from "../../cloud/connect.ts";
import { createHandlers } from "../../functions/handler.ts";
import { type Lab, linearJob, openLab } from "../support/lab.ts";

let lab: Lab;
let client: SQSClient;
before(async () => {
  lab = await openLab();
  client = new SQSClient(clientConfig(lab.target.environment));
});
after(async () => {
  client.destroy();
  await lab.close();
});

/** As Lambda's event source does: takes what is there, and hides it for far longer than this test may last. */
async function receive(job: string): Promise<SQSRecord[]> {
  const { Messages = [] } = await client.send(
    new ReceiveMessageCommand({
      QueueUrl: lab.cloud.updates,
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: 20,
      VisibilityTimeout: 3600,
      MessageSystemAttributeNames: ["All"],
    }),
  );
  return Messages.filter(({ Attributes }) => Attributes?.MessageGroupId === `${job}/0`).map(asRecord);
}

const asRecord = ({ MessageId, ReceiptHandle, Body, Attributes }: Message): SQSRecord =>
  ({
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: Attributes,
  }) as unknown as SQSRecord;

test("messages reported as failed come back at once, in their order, whatever the visibility timeout", async () => {
  // Nobody has written the job's layout yet, so its aggregators can't work.
  const { name } = linearJob("too-early");
  await lab.submit(linearJob("too-early"));
  await receive(name);
  await lab.cloud.queues.sendUpdates(
    lab.cloud.updates,
    [0, 1].map((rank) => ({
      kind: "gradient",
      job: name,
      step: 0,
      shard: 0,
      rank,
      dispatch: "test",
      inline: null,
    })),
    (update) => (update.kind === "gradient" ? String(update.rank) : ""),
  );
  const { updates, cloud } = createHandlers({ ...lab.target.environment });
  const first = await receive(name);
  assert.equal(first.length, 2);
  const { batchItemFailures } = await updates({ Records: first });
  cloud.close();

  const ids = first.map(({ messageId }) => messageId);
  assert.deepEqual(
    batchItemFailures.map(({ itemIdentifier }) => itemIdentifier),
    ids,
  );
  const again = await receive(name);
  assert.deepEqual(
    again.map(({ messageId }) => messageId),
    ids,
  );
  assert.deepEqual(
    again.map(({ attributes }) => attributes.ApproximateReceiveCount),
    ["2", "2"],
  );
});
