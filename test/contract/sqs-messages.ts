import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { Queues } from "../../cloud/queues.ts";
import { refusal } from "../local/support.ts";
import { bodies, type TestQueues } from "./queue.ts";

export function messages({
  sqs,
  deviates,
  createQueue,
  createFifo,
  sendTo,
  send,
  receive,
  remove,
  changeVisibility,
  attributesOf,
  withDeadLetters,
}: TestQueues): void {
  describe("messages", { concurrency: true }, () => {
    test("a message comes back as it was sent, with its digest, and once deleted no more", async () => {
      const url = await createQueue({ VisibilityTimeout: "1" });
      const body = 'ä "quoted" \n {"json": [1]}';
      const { MessageId, MD5OfMessageBody } = await send(url, body);
      assert.equal(MD5OfMessageBody, createHash("md5").update(body).digest("hex"));
      const [message, ...others] = await receive(url);
      assert.deepEqual(others, []);
      assert.equal(message?.Body, body);
      assert.equal(message?.MessageId, MessageId);
      assert.equal(message?.Attributes?.ApproximateReceiveCount, "1");
      assert.ok(Math.abs(Number(message?.Attributes?.SentTimestamp) - Date.now()) < 60_000);
      await remove(url, message);
      assert.deepEqual(await receive(url, { WaitTimeSeconds: 2 }), []);
    });

    test("deleting a message once more is no error", deviates("deletedTwice"), async () => {
      const url = await createQueue();
      await send(url, "x");
      const [message] = await receive(url);
      await remove(url, message);
      await remove(url, message);
    });

    test("the lease of a message that was deleted is no more", async () => {
      const queues = new Queues(sqs, "");
      const queue = await createQueue({ VisibilityTimeout: "30" });
      await send(queue, "x");
      const [held] = await receive(queue);
      const lease = () => queues.lease(queue, held?.ReceiptHandle ?? "", 30);
      assert.equal(await lease(), true);
      await remove(queue, held);
      assert.equal(await lease(), false);
    });

    test("a message that is not deleted comes again after its visibility timeout", async () => {
      const url = await createQueue({ VisibilityTimeout: "1" });
      await send(url, "again");
      assert.deepEqual(bodies(await receive(url)), ["again"]);
      assert.deepEqual(await receive(url), []);
      const start = Date.now();
      const [message] = await receive(url, { WaitTimeSeconds: 5 });
      assert.equal(message?.Attributes?.ApproximateReceiveCount, "2");
      assert.ok(Date.now() - start < 2500, "the long poll notices the end of the timeout");
    });

    test("a heartbeat keeps a message from coming again", async () => {
      const url = await createQueue({ VisibilityTimeout: "1" });
      await send(url, "kept");
      const [message] = await receive(url);
      await changeVisibility(url, message, 30);
      assert.deepEqual(await receive(url, { WaitTimeSeconds: 2 }), []);
      await remove(url, message);
    });

    test("a change to 0 gives a message back at once, also to one who waits", async () => {
      for (const queue of [await createQueue(), await createFifo()]) {
        await (queue.endsWith(".fifo") ? sendTo(queue, "g", "back") : send(queue, "back"));
        const [message] = await receive(queue);
        const waiting = receive(queue, { WaitTimeSeconds: 10 });
        await attributesOf(queue);
        const start = Date.now();
        await changeVisibility(queue, message, 0);
        const [again] = await waiting;
        assert.equal(again?.Body, "back");
        assert.equal(again?.Attributes?.ApproximateReceiveCount, "2");
        assert.ok(Date.now() - start < 1000);
      }
    });

    test(
      "the handle of an earlier receive does not delete a message someone else holds",
      deviates("earlierHandle"),
      async () => {
        for (const queue of [await createQueue(), await createFifo()]) {
          await (queue.endsWith(".fifo") ? sendTo(queue, "g", "held") : send(queue, "held"));
          const [first] = await receive(queue);
          await changeVisibility(queue, first, 0);
          const [second] = await receive(queue, { WaitTimeSeconds: 5 });
          await remove(queue, first).catch(() => {});
          await changeVisibility(queue, second, 0);
          assert.deepEqual(bodies(await receive(queue, { WaitTimeSeconds: 5 })), ["held"]);
        }
      },
    );

    test("a long poll gets a message as soon as it is sent", async () => {
      const url = await createQueue();
      const waiting = receive(url, { WaitTimeSeconds: 10 });
      await attributesOf(url);
      const start = Date.now();
      await send(url, "now");
      assert.deepEqual(bodies(await waiting), ["now"]);
      assert.ok(Date.now() - start < 1000);
    });

    test("of several long polls one gets the message, the others wait on and come back empty", async () => {
      const url = await createQueue();
      const polls = [1, 2, 3].map(() => receive(url, { WaitTimeSeconds: 2 }));
      await attributesOf(url);
      await send(url, "one");
      assert.deepEqual((await Promise.all(polls)).flatMap(bodies), ["one"]);
    });

    test("a delayed message is not seen before its time", async () => {
      const url = await createQueue();
      const start = Date.now();
      await send(url, "late", { DelaySeconds: 1 });
      assert.deepEqual(await receive(url), []);
      assert.deepEqual(bodies(await receive(url, { WaitTimeSeconds: 5 })), ["late"]);
      assert.ok(Date.now() - start >= 900);
    });

    test("a body of 1 MiB is taken, one more byte is refused", async () => {
      const url = await createQueue();
      const body = "x".repeat(1024 * 1024);
      await send(url, body);
      assert.deepEqual(bodies(await receive(url)), [body]);
      assert.equal((await refusal(send(url, `${body}x`))).status, 400);
    });

    test("what is received too often goes to the dead-letter queue", async () => {
      const { queue, dead } = await withDeadLetters(createQueue, 2);
      await send(queue, "poison");
      for (const _ of [1, 2]) {
        const [message] = await receive(queue, { WaitTimeSeconds: 5 });
        await changeVisibility(queue, message, 0);
      }
      assert.deepEqual(await receive(queue), []);
      assert.deepEqual(bodies(await receive(dead, { WaitTimeSeconds: 5 })), ["poison"]);
    });

    test("a consumer that dies again and again gives its message to the dead-letter queue", async () => {
      const { queue, dead } = await withDeadLetters(createQueue, 1);
      await send(queue, "poison");
      await receive(queue, { VisibilityTimeout: 1 });
      assert.deepEqual(await receive(queue, { WaitTimeSeconds: 2 }), []);
      assert.deepEqual(bodies(await receive(dead, { WaitTimeSeconds: 5 })), ["poison"]);
    });

    test("a receive can ask for a timeout of its own", async () => {
      const url = await createQueue({ VisibilityTimeout: "30" });
      await send(url, "mine");
      await receive(url, { VisibilityTimeout: 1 });
      assert.deepEqual(bodies(await receive(url, { WaitTimeSeconds: 5 })), ["mine"]);
    });

    test("of many receivers each message has one", async () => {
      const url = await createQueue();
      const sent = Array.from({ length: 20 }, (_, i) => `m${i}`);
      await Promise.all(sent.map((body) => send(url, body)));
      const got: (string | undefined)[] = [];
      const take = async () => {
        for (let empty = 0; empty < 3 && got.length < 20; ) {
          const messages = await receive(url, { MaxNumberOfMessages: 3 });
          got.push(...bodies(messages));
          if (messages.length === 0) empty++;
        }
      };
      await Promise.all(Array.from({ length: 5 }, take));
      assert.deepEqual(got.toSorted(), sent.toSorted());
    });
  });
}
