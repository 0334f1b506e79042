import { after } from "node:test";
import { openBucket } from "./bucket.ts";
import type { Endpoint } from "./endpoint.ts";
import { openQueues } from "./queue.ts";
import { keysAndRemoval } from "./s3-keys.ts";
import { listings } from "./s3-listings.ts";
import { multipartUploads } from "./s3-multipart.ts";
import { reads } from "./s3-reads.ts";
import { conditionalWrites, integrity } from "./s3-writes.ts";
import { batches } from "./sqs-batches.ts";
import { fifoQueues } from "./sqs-fifo.ts";
import { messages } from "./sqs-messages.ts";
import { queues } from "./sqs-queues.ts";

/** Every row of the contract: what the promises need of S3 and SQS. Closes the endpoint in the end. */
export async function contract(endpoint: Endpoint): Promise<void> {
  const bucket = await openBucket(endpoint);
  const testQueues = openQueues(endpoint);
  after(async () => {
    await Promise.all([bucket.empty(), testQueues.removeAll()]);
    await endpoint.close();
  });
  for (const rows of [conditionalWrites, reads, multipartUploads, listings, integrity, keysAndRemoval])
    rows(bucket);
  for (const rows of [queues, messages, batches, fifoQueues]) rows(testQueues);
}
