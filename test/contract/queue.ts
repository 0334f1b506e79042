import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  type QueueAttributeName,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageCommand,
  type SendMessageCommandInput,
} from "@aws-sdk/client-sqs";
import { required } from "../../protocol/required.ts";
import { type Endpoint, uniqueName } from "./endpoint.ts";

type Attributes = Partial<Record<QueueAttributeName, string>>;

const FIFO: Attributes = {
  FifoQueue: "true",
  DeduplicationScope: "messageGroup",
  FifoThroughputLimit: "perMessageGroupId",
};

export function bodies(messages: readonly Message[]): (string | undefined)[] {
  return messages.map(({ Body }) => Body);
}

/** Queues of an endpoint, removed in the end, with short ways to what the rows do most. */
export type TestQueues = ReturnType<typeof openQueues>;

export function openQueues({ sqs, deviates }: Endpoint) {
  const created: string[] = [];

  async function createQueue(Attributes: Attributes = {}, QueueName = uniqueName("queue")): Promise<string> {
    const answer = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
    const QueueUrl = required(answer.QueueUrl, "QueueUrl");
    created.push(QueueUrl);
    return QueueUrl;
  }

  function createFifo(attributes: Attributes = {}): Promise<string> {
    return createQueue({ ...FIFO, ...attributes }, `${uniqueName("queue")}.fifo`);
  }

  let sent = 0;

  /** Sends to a group, each time with another deduplication id unless one is given. */
  function sendTo(QueueUrl: string, group: string, MessageBody: string, id = `id-${sent++}`) {
    const fifo = { MessageGroupId: group, MessageDeduplicationId: id };
    return sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, ...fifo }));
  }

  function send(QueueUrl: string, MessageBody: string, more: Partial<SendMessageCommandInput> = {}) {
    return sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, ...more }));
  }

  async function receive(
    QueueUrl: string,
    more: Partial<ReceiveMessageCommandInput> = {},
  ): Promise<Message[]> {
    const input = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0, ...more };
    const all = { MessageSystemAttributeNames: ["All" as const] };
    return (await sqs.send(new ReceiveMessageCommand({ ...input, ...all }))).Messages ?? [];
  }

  function remove(QueueUrl: string, message: Message | undefined) {
    return sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message?.ReceiptHandle }));
  }

  function changeVisibility(QueueUrl: string, message: Message | undefined, VisibilityTimeout: number) {
    const ReceiptHandle = message?.ReceiptHandle;
    return sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout }));
  }

  async function attributesOf(QueueUrl: string): Promise<Record<string, string>> {
    const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] });
    return required((await sqs.send(command)).Attributes, "Attributes");
  }

  async function withDeadLetters(
    create: (attributes?: Attributes) => Promise<string>,
    maxReceiveCount: number,
  ) {
    const dead = await create();
    const { QueueArn: deadLetterTargetArn } = await attributesOf(dead);
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount });
    return { dead, queue: await create({ RedrivePolicy, VisibilityTimeout: "30" }) };
  }

  async function removeAll(): Promise<void> {
    for (const QueueUrl of created) await sqs.send(new DeleteQueueCommand({ QueueUrl })).catch(() => {});
  }

  return {
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
    removeAll,
  };
}
