import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SendMessageBatchCommand } from "@aws-sdk/client-sqs";
import { refusal } from "../local/support.ts";
import { uniqueName } from "./endpoint.ts";
import { bodies, type TestQueues } from "./queue.ts";

export function fifoQueues({
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
  describe("FIFO queues", { concurrency: true }, () => {
    test("a group's messages come in order, up to ten in one receive", async () => {
      const url = await createFifo();
      const sequence: string[] = [];
      for (let i = 0; i < 12; i++) sequence.push((await sendTo(url, "g", `m${i}`)).SequenceNumber ?? "");
      assert.deepEqual(sequence, sequence.toSorted());
      const ten = await receive(url);
      assert.deepEqual(bodies(ten), ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]);
      assert.equal(ten[0]?.Attributes?.MessageGroupId, "g");
      assert.equal(ten[0]?.Attributes?.SequenceNumber, sequence[0]);
      for (const message of ten) await remove(url, message);
      assert.deepEqual(bodies(await receive(url)), ["m10", "m11"]);
    });

    test("a group is locked until all its messages in flight are deleted; other groups are not", async () => {
      const url = await createFifo();
      for (const body of ["a1", "a2", "a3"]) await sendTo(url, "a", body);
      const [a1, a2] = await receive(url, { MaxNumberOfMessages: 2 });
      assert.deepEqual([a1?.Body, a2?.Body], ["a1", "a2"]);
      assert.deepEqual(await receive(url), []);
      await sendTo(url, "b", "b1");
      assert.deepEqual(bodies(await receive(url)), ["b1"]);
      await remove(url, a1);
      assert.deepEqual(await receive(url), []);
      const waiting = receive(url, { WaitTimeSeconds: 10 });
      await attributesOf(url);
      const start = Date.now();
      await remove(url, a2);
      assert.deepEqual(bodies(await waiting), ["a3"]);
      assert.ok(Date.now() - start < 1000, "the delete that unlocks a group wakes who waits for it");
    });

    test("one receive can have messages of several groups", async () => {
      const url = await createFifo();
      for (const group of ["a", "b"]) for (const i of [1, 2]) await sendTo(url, group, `${group}${i}`);
      const got = bodies(await receive(url));
      assert.deepEqual(got.toSorted(), ["a1", "a2", "b1", "b2"]);
      assert.ok(got.indexOf("a1") < got.indexOf("a2") && got.indexOf("b1") < got.indexOf("b2"));
    });

    test("of two receivers of one group, one waits for the other", async () => {
      const url = await createFifo();
      const polls = [1, 2].map(() => receive(url, { WaitTimeSeconds: 2, MaxNumberOfMessages: 1 }));
      await attributesOf(url);
      for (const body of ["1", "2"]) await sendTo(url, "g", body);
      assert.deepEqual((await Promise.all(polls)).flatMap(bodies), ["1"]);
    });

    test("a crashed consumer blocks its group until the timeout, and then order is kept", async () => {
      const url = await createFifo({ VisibilityTimeout: "1" });
      for (const body of ["1", "2", "3"]) await sendTo(url, "g", body);
      const [crashed] = await receive(url, { MaxNumberOfMessages: 1 });
      assert.equal(crashed?.Body, "1");
      assert.deepEqual(await receive(url), []);
      const again = await receive(url, { WaitTimeSeconds: 5 });
      assert.deepEqual(bodies(again), ["1", "2", "3"]);
      assert.deepEqual(
        again.map(({ Attributes }) => Attributes?.ApproximateReceiveCount),
        ["2", "1", "1"],
      );
    });

    test("a handle whose timeout is over deletes nothing", deviates("lateHandle"), async () => {
      const url = await createFifo({ VisibilityTimeout: "1" });
      await sendTo(url, "g", "held");
      const [late] = await receive(url);
      const [holder] = await receive(url, { WaitTimeSeconds: 5, VisibilityTimeout: 30 });
      assert.equal((await refusal(remove(url, late))).status, 400);
      await changeVisibility(url, holder, 0);
      assert.deepEqual(bodies(await receive(url, { WaitTimeSeconds: 5 })), ["held"]);
    });

    test("a message sent again with its deduplication id counts once, even after it is deleted", async () => {
      const url = await createFifo();
      const first = await sendTo(url, "g", "once", "same");
      const second = await sendTo(url, "g", "once", "same");
      assert.equal(second.MessageId, first.MessageId);
      const [message, ...others] = await receive(url);
      assert.deepEqual(others, []);
      await remove(url, message);
      await sendTo(url, "g", "once", "same");
      assert.deepEqual(await receive(url), []);
    });

    test("groups do not share deduplication ids when its scope is the group", async () => {
      const url = await createFifo();
      for (const group of ["a", "b"]) await sendTo(url, group, group, "same");
      assert.deepEqual(bodies(await receive(url)).toSorted(), ["a", "b"]);
    });

    test("groups share deduplication ids when its scope is the queue", async () => {
      const url = await createQueue({ FifoQueue: "true" }, `${uniqueName("queue")}.fifo`);
      for (const group of ["a", "b"]) await sendTo(url, group, group, "same");
      assert.deepEqual(bodies(await receive(url)), ["a"]);
    });

    test("a queue that deduplicates by content needs no id", async () => {
      const url = await createFifo({ ContentBasedDeduplication: "true" });
      for (const body of ["x", "x", "y"]) await send(url, body, { MessageGroupId: "g" });
      assert.deepEqual(bodies(await receive(url)), ["x", "y"]);
      const none = await createFifo();
      assert.equal((await refusal(send(none, "x", { MessageGroupId: "g" }))).status, 400);
      assert.equal((await refusal(send(none, "x", { MessageDeduplicationId: "1" }))).status, 400);
    });

    test("what is received too often goes to the dead-letter queue with its group, and unlocks it", async () => {
      const { queue, dead } = await withDeadLetters(createFifo, 2);
      for (const body of ["poison", "fine"]) await sendTo(queue, "g", body);
      for (const _ of [1, 2]) {
        const [message] = await receive(queue, { WaitTimeSeconds: 5, MaxNumberOfMessages: 1 });
        assert.equal(message?.Body, "poison");
        await changeVisibility(queue, message, 0);
      }
      assert.deepEqual(bodies(await receive(queue, { WaitTimeSeconds: 5 })), ["fine"]);
      const [buried] = await receive(dead, { WaitTimeSeconds: 5 });
      assert.equal(buried?.Body, "poison");
      assert.equal(buried?.Attributes?.MessageGroupId, "g");
    });

    test("many consumers of many groups see each group in order, and never hold one group at once", async () => {
      const url = await createFifo();
      const groups = ["a", "b", "c", "d"];
      for (let i = 0; i < 10; i++) for (const group of groups) await sendTo(url, group, String(i));
      const seen = new Map<string, number[]>(groups.map((group) => [group, []]));
      const held = new Set<string>();
      let left = groups.length * 10;
      const consume = async () => {
        while (left > 0) {
          for (const message of await receive(url, { MaxNumberOfMessages: 1 })) {
            const group = message.Attributes?.MessageGroupId ?? "";
            assert.ok(!held.has(group), `${group} is held by another consumer`);
            held.add(group);
            seen.get(group)?.push(Number(message.Body));
            await attributesOf(url);
            held.delete(group);
            await remove(url, message);
            left--;
          }
        }
      };
      await Promise.all(Array.from({ length: 4 }, consume));
      for (const group of groups) assert.deepEqual(seen.get(group), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    test("messages of one batch keep its order", async () => {
      const url = await createFifo();
      const ids = Array.from({ length: 10 }, (_, i) => `m${i}`);
      const entry = (Id: string) => ({
        Id,
        MessageBody: Id,
        MessageGroupId: "g",
        MessageDeduplicationId: Id,
      });
      await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: ids.map(entry) }));
      assert.deepEqual(bodies(await receive(url)), ids);
    });

    test("messages given back come in their order, before those behind them", async () => {
      const url = await createFifo();
      for (const body of ["1", "2", "3"]) await sendTo(url, "g", body);
      const [first, second] = await receive(url, { MaxNumberOfMessages: 2 });
      await changeVisibility(url, second, 0);
      await changeVisibility(url, first, 0);
      assert.deepEqual(bodies(await receive(url)), ["1", "2", "3"]);
    });

    test(
      "a group stays locked when not all of its messages are given back",
      deviates("groupUnlocked"),
      async () => {
        const url = await createFifo();
        for (const body of ["1", "2", "3"]) await sendTo(url, "g", body);
        const [, second] = await receive(url, { MaxNumberOfMessages: 2 });
        await changeVisibility(url, second, 0);
        assert.deepEqual(await receive(url), []);
      },
    );

    test(
      "a group stays locked by a message in flight, though the one before it is given back",
      deviates("groupUnlocked"),
      async () => {
        const url = await createFifo();
        for (const body of ["1", "2", "3"]) await sendTo(url, "g", body);
        const [first] = await receive(url, { MaxNumberOfMessages: 2 });
        await changeVisibility(url, first, 0);
        assert.deepEqual(await receive(url), []);
      },
    );

    test("a message sent twice while it is in flight counts once", async () => {
      const url = await createFifo();
      await sendTo(url, "g", "once", "same");
      const [message] = await receive(url);
      await sendTo(url, "g", "once", "same");
      await remove(url, message);
      assert.deepEqual(await receive(url), []);
    });

    test("a FIFO queue takes no delay for a single message", async () => {
      const url = await createFifo();
      const fifo = { MessageGroupId: "g", MessageDeduplicationId: "1" };
      assert.equal((await refusal(send(url, "x", { ...fifo, DelaySeconds: 1 }))).status, 400);
    });
  });
}
