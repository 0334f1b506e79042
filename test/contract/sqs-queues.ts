import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  SetQueueAttributesCommand,
} from "@aws-sdk/client-sqs";
import { refusal } from "../local/support.ts";
import { uniqueName } from "./endpoint.ts";
import { bodies, type TestQueues } from "./queue.ts";

export function queues({ sqs, createQueue, send, receive, attributesOf }: TestQueues): void {
  describe("queues", () => {
    test("a queue is found by its name and its prefix, and not after it is deleted", async () => {
      const QueueName = uniqueName("found");
      const url = await createQueue({}, QueueName);
      assert.equal((await sqs.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl, url);
      const list = async () =>
        (await sqs.send(new ListQueuesCommand({ QueueNamePrefix: QueueName }))).QueueUrls ?? [];
      assert.deepEqual(await list(), [url]);
      await sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
      assert.deepEqual(await list(), []);
      const none = { name: "QueueDoesNotExist", status: 400 };
      assert.deepEqual(await refusal(sqs.send(new GetQueueUrlCommand({ QueueName }))), none);
      assert.deepEqual(await refusal(send(url, "x")), none);
      assert.deepEqual(await refusal(receive(url)), none);
    });

    test("queues are listed in pages, for those who say how long one is", async () => {
      const QueueNamePrefix = uniqueName("pages");
      const urls: string[] = [];
      for (const i of [1, 2, 3, 4, 5]) urls.push(await createQueue({}, `${QueueNamePrefix}-${i}`));
      const found: string[] = [];
      const sizes: number[] = [];
      let NextToken: string | undefined;
      do {
        const page = await sqs.send(new ListQueuesCommand({ QueueNamePrefix, MaxResults: 2, NextToken }));
        found.push(...(page.QueueUrls ?? []));
        sizes.push(page.QueueUrls?.length ?? 0);
        NextToken = page.NextToken;
      } while (NextToken !== undefined);
      assert.deepEqual(found.sort(), urls);
      assert.deepEqual(sizes, [2, 2, 1]);
      const { QueueUrls, NextToken: none } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix }));
      assert.deepEqual([QueueUrls?.length, none], [5, undefined]);
    });

    test("creating it again with the same attributes is harmless, with others it is refused", async () => {
      const name = uniqueName("again");
      const url = await createQueue({ VisibilityTimeout: "7" }, name);
      await send(url, "stays");
      assert.equal(await createQueue({ VisibilityTimeout: "7" }, name), url);
      const other = await refusal(createQueue({ VisibilityTimeout: "8" }, name));
      assert.deepEqual(other, { name: "QueueNameExists", status: 400 });
      assert.deepEqual(bodies(await receive(url)), ["stays"]);
    });

    test("attributes can be read and changed, and count the messages", async () => {
      const url = await createQueue({ VisibilityTimeout: "7" });
      for (const [body, DelaySeconds] of [["a"], ["b"], ["late", 60]] as const)
        await send(url, body, DelaySeconds ? { DelaySeconds } : {});
      await receive(url, { MaxNumberOfMessages: 1 });
      const counted = await attributesOf(url);
      assert.equal(counted.VisibilityTimeout, "7");
      assert.match(counted.QueueArn ?? "", /^arn:aws:sqs:us-east-1:\d+:contract-queue-/);
      assert.equal(counted.ApproximateNumberOfMessages, "1");
      assert.equal(counted.ApproximateNumberOfMessagesNotVisible, "1");
      assert.equal(counted.ApproximateNumberOfMessagesDelayed, "1");
      await sqs.send(
        new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { VisibilityTimeout: "9" } }),
      );
      assert.equal((await attributesOf(url)).VisibilityTimeout, "9");
    });
  });
}
