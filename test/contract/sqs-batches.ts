import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  SendMessageBatchCommand,
} from "@aws-sdk/client-sqs";
import { refusal, until } from "../local/support.ts";
import { bodies, type TestQueues } from "./queue.ts";

export function batches({ sqs, createQueue, send, createFifo, receive, attributesOf }: TestQueues): void {
  describe("batches", () => {
    test("ten messages are sent, put back and deleted in a call each", async () => {
      const url = await createQueue();
      const ids = Array.from({ length: 10 }, (_, i) => `m${i}`);
      const sendAll = { QueueUrl: url, Entries: ids.map((Id) => ({ Id, MessageBody: Id })) };
      const { Successful } = await sqs.send(new SendMessageBatchCommand(sendAll));
      assert.deepEqual(Successful?.map(({ Id }) => Id).toSorted(), ids);
      const first = await receiveMany(url, 10);
      const back = first.map(({ ReceiptHandle }, i) => ({ Id: `${i}`, ReceiptHandle, VisibilityTimeout: 0 }));
      await sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: url, Entries: back }));
      const second = await receiveMany(url, 10);
      const Entries = second.map(({ ReceiptHandle }, i) => ({ Id: `${i}`, ReceiptHandle }));
      await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }));
      assert.equal((await attributesOf(url)).ApproximateNumberOfMessagesNotVisible, "0");
      assert.deepEqual(await receive(url), []);
    });

    async function receiveMany(url: string, count: number): Promise<Message[]> {
      const got: Message[] = [];
      await until(`${count} messages`, async () => got.push(...(await receive(url))) === count);
      return got;
    }

    test("an entry that is refused does not stop the others", async () => {
      const url = await createFifo();
      const good = { Id: "good", MessageBody: "g", MessageGroupId: "g", MessageDeduplicationId: "1" };
      const bad = {
        Id: "bad",
        MessageBody: "b",
        MessageGroupId: "g",
        MessageDeduplicationId: "2",
        DelaySeconds: 5,
      };
      const answer = await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: [bad, good] }));
      assert.deepEqual(
        answer.Successful?.map(({ Id }) => Id),
        ["good"],
      );
      assert.deepEqual(
        answer.Failed?.map(({ Id, SenderFault }) => [Id, SenderFault]),
        [["bad", true]],
      );
      assert.deepEqual(bodies(await receive(url)), ["g"]);
    });

    test("an empty batch, more than ten entries and equal ids are refused", async () => {
      const QueueUrl = await createQueue();
      const entry = (Id: string) => ({ Id, MessageBody: "x" });
      const eleven = Array.from({ length: 11 }, (_, i) => entry(`${i}`));
      for (const Entries of [[], eleven, [entry("a"), entry("a")]])
        assert.equal(
          (await refusal(sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries })))).status,
          400,
        );
    });

    test("a handle that is none fails alone, in a batch of deletes or of changed timeouts", async () => {
      const QueueUrl = await createQueue();
      await send(QueueUrl, "x");
      const [message] = await receiveMany(QueueUrl, 1);
      const entries = [
        { Id: "good", ReceiptHandle: message?.ReceiptHandle },
        { Id: "bad", ReceiptHandle: "none" },
      ];
      const Entries = entries.map((entry) => ({ ...entry, VisibilityTimeout: 30 }));
      const changed = await sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      const deleted = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries: entries }));
      for (const { Successful, Failed } of [changed, deleted]) {
        assert.deepEqual(
          Successful?.map(({ Id }) => Id),
          ["good"],
        );
        assert.deepEqual(
          Failed?.map(({ Id }) => Id),
          ["bad"],
        );
      }
    });

    test("a batch of more than 1 MiB together is refused whole", async () => {
      const QueueUrl = await createQueue();
      const MessageBody = "x".repeat(600 * 1024);
      const Entries = ["a", "b"].map((Id) => ({ Id, MessageBody }));
      const refused = await refusal(sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries })));
      assert.equal(refused.status, 400);
      assert.deepEqual(await receive(QueueUrl), []);
    });
  });
}
