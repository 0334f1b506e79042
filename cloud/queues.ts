import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  MessageNotInflight,
  paginateListQueues,
  type QueueAttributeName,
  QueueDoesNotExist,
  QueueNameExists,
  ReceiptHandleIsInvalid,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
  type SQSClient,
  SQSServiceException,
} from "@aws-sdk/client-sqs";
import { TryAgain } from "../protocol/errors.ts";
import { groupOf, type Task, type Update } from "../protocol/messages.ts";
import { required } from "../protocol/required.ts";

/** The task queue of a job's attempt. */
export type TasksQueue = { readonly name: string; readonly job: string; readonly attempt: number };

export type Received = { readonly body: string; readonly receipt: string; readonly receives: number };

/** SQS takes at most 10 messages a call, 1 MiB together; some of that is left for the rest of the request. */
const BATCH_MESSAGES = 10;
const BATCH_BYTES = 1024 * 1024 - 16 * 1024;
const LIST_PAGE = 1000;

/** A lease that is not renewed for this long lapses; its worker renews it after a third of that. */
export const LEASE_SECONDS = 30;

/** The verbs this system needs of SQS. */
export class Queues {
  readonly #client: SQSClient;
  readonly #prefix: string;
  readonly #urls = new Map<string, string>();

  constructor(client: SQSClient, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  /** Creates the task queue of a job's attempt; one that is there stays as it is. */
  async createTasks(job: string, attempt: number, leaseSeconds: number): Promise<void> {
    const Attributes = { VisibilityTimeout: String(leaseSeconds) };
    const command = new CreateQueueCommand({ QueueName: this.#tasksName(job, attempt), Attributes });
    try {
      await this.#client.send(command);
    } catch (error) {
      if (!(error instanceof QueueNameExists)) throw error;
    }
  }

  /** URL of the task queue of a job's attempt, or null when there is none. */
  async findTasks(job: string, attempt: number): Promise<string | null> {
    const QueueName = this.#tasksName(job, attempt);
    const cached = this.#urls.get(QueueName);
    if (cached !== undefined) return cached;
    const answer = await unlessGone(this.#client.send(new GetQueueUrlCommand({ QueueName })));
    if (answer === null) return null;
    const url = required(answer.QueueUrl, `QueueUrl of ${QueueName}`);
    this.#urls.set(QueueName, url);
    return url;
  }

  /** Deletes the task queue of a job's attempt; workers that wait on it learn that it is gone. */
  async removeTasks(job: string, attempt: number): Promise<void> {
    const QueueUrl = await this.findTasks(job, attempt);
    this.#urls.delete(this.#tasksName(job, attempt));
    if (QueueUrl !== null) await unlessGone(this.#client.send(new DeleteQueueCommand({ QueueUrl })));
  }

  /** The task queues of all jobs. SQS may still list one that was deleted within the last minute. */
  async listTasks(): Promise<TasksQueue[]> {
    const listed: TasksQueue[] = [];
    const paging = { client: this.#client, pageSize: LIST_PAGE };
    for await (const page of paginateListQueues(paging, { QueueNamePrefix: this.#prefix })) {
      for (const url of page.QueueUrls ?? []) {
        const name = url.slice(url.lastIndexOf("/") + 1);
        const [, job, attempt] = /^(.+)-tasks-(\d+)$/.exec(name.slice(this.#prefix.length)) ?? [];
        if (job !== undefined) listed.push({ name, job, attempt: Number(attempt) });
      }
    }
    return listed;
  }

  /** When the task queue of a job's attempt was created; null when there is none. */
  async tasksCreatedAt(job: string, attempt: number): Promise<Date | null> {
    const url = await this.findTasks(job, attempt);
    const attributes = url === null ? null : await this.#attributes(url);
    return attributes && new Date(attributes("CreatedTimestamp") * 1000);
  }

  #tasksName(job: string, attempt: number): string {
    return `${this.#prefix}${job}-tasks-${attempt}`;
  }

  /** Sends tasks to workers. @returns false when the queue is gone, because the job has ended */
  async sendTasks(url: string, tasks: readonly Task[]): Promise<boolean> {
    const entries = tasks.map((task, i) => ({ Id: String(i), MessageBody: JSON.stringify(task) }));
    return (await unlessGone(this.#sendAll(url, entries).then(() => true))) ?? false;
  }

  /**
   * Sends updates, each to its actor's message group.
   *
   * @param deduplicate makes the deduplication id of an update, to which its group is added
   */
  async sendUpdates(
    url: string,
    updates: readonly Update[],
    deduplicate: (update: Update) => string,
  ): Promise<void> {
    const entries = updates.map((update, i) => ({
      Id: String(i),
      MessageBody: JSON.stringify(update),
      MessageGroupId: groupOf(update),
      MessageDeduplicationId: `${groupOf(update)}/${deduplicate(update)}`,
    }));
    await this.#sendAll(url, entries);
  }

  async #sendAll(url: string, entries: readonly SendMessageBatchRequestEntry[]): Promise<void> {
    for (const Entries of batches(entries)) {
      const answer = await this.#client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
      const [failed] = answer.Failed ?? [];
      if (failed) throw new TryAgain(`SQS refused a message: ${failed.Code} ${failed.Message ?? ""}`);
    }
  }

  /**
   * Waits up to 20 seconds for a message.
   *
   * @returns null when none came, "gone" when the queue does not exist
   */
  async receive(url: string, signal: AbortSignal): Promise<Received | null | "gone"> {
    const command = new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: 1,
      WaitTimeSeconds: 20,
      MessageSystemAttributeNames: ["ApproximateReceiveCount"],
    });
    const answer = await unlessGone(this.#client.send(command, { abortSignal: signal }));
    if (answer === null) return "gone";
    const [message] = answer.Messages ?? [];
    if (!message) return null;
    return {
      body: required(message.Body, "Body of a message"),
      receipt: required(message.ReceiptHandle, "ReceiptHandle of a message"),
      receives: Number(required(message.Attributes?.ApproximateReceiveCount, "ApproximateReceiveCount")),
    };
  }

  /** Acknowledges a message: its effect is in S3. */
  async acknowledge(url: string, receipt: string): Promise<void> {
    await unlessGone(this.#client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: receipt })));
  }

  /**
   * Renews a lease for `seconds` from now; 0 gives the message back at once.
   *
   * @returns false when there is no such lease: it lapsed, or its message or queue was deleted
   */
  async lease(url: string, receipt: string, seconds: number): Promise<boolean> {
    const command = { QueueUrl: url, ReceiptHandle: receipt, VisibilityTimeout: seconds };
    try {
      await this.#client.send(new ChangeMessageVisibilityCommand(command));
      return true;
    } catch (error) {
      if (isLeaseGone(error)) return false;
      throw error;
    }
  }

  /** The length of a lease of this queue, in seconds; the default when the queue is gone. */
  async leaseSeconds(url: string): Promise<number> {
    return (await this.#attributes(url))?.("VisibilityTimeout") ?? LEASE_SECONDS;
  }

  /** Messages waiting and in flight; both 0 when the queue is gone. */
  async depth(url: string): Promise<{ waiting: number; inFlight: number }> {
    const attributes = await this.#attributes(url);
    if (attributes === null) return { waiting: 0, inFlight: 0 };
    return {
      waiting: attributes("ApproximateNumberOfMessages"),
      inFlight: attributes("ApproximateNumberOfMessagesNotVisible"),
    };
  }

  /** Returns a function that gives an attribute, a number, of a queue; null when the queue is gone. */
  async #attributes(url: string): Promise<((name: QueueAttributeName) => number) | null> {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["All"] });
    const answer = await unlessGone(this.#client.send(command));
    return answer && ((name) => Number(required(answer.Attributes?.[name], `${name} of ${url}`)));
  }
}

function isLeaseGone(error: unknown): boolean {
  if ([QueueDoesNotExist, MessageNotInflight, ReceiptHandleIsInvalid].some((kind) => error instanceof kind))
    return true;
  // SQS has one error for all parameters, so only its text tells which one it is.
  return (
    error instanceof SQSServiceException &&
    error.name.startsWith("InvalidParameterValue") &&
    /message does not exist/i.test(error.message)
  );
}

async function unlessGone<T>(request: Promise<T>): Promise<T | null> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof QueueDoesNotExist) return null;
    throw error;
  }
}

function* batches(entries: readonly SendMessageBatchRequestEntry[]) {
  let batch: SendMessageBatchRequestEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(required(entry.MessageBody, "MessageBody"));
    if (batch.length === BATCH_MESSAGES || (batch.length > 0 && bytes + size > BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(entry);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
