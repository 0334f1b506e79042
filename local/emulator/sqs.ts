import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { crc32 } from "node:zlib";
import { required } from "../../protocol/required.ts";
import { ApiError, notImplemented } from "./errors.ts";
import { signedSha256 } from "./s3-request.ts";
import type { Sqs } from "./sqs-action.ts";
import { ACTIONS } from "./sqs-actions.ts";
import { invalidParameter, removeExpiredDedups, removeExpiredMessages } from "./sqs-messages.ts";
import { queueNames, requireQueue } from "./sqs-queues.ts";

const TARGET_PREFIX = "AmazonSQS.";
// At worst a byte of a body takes six bytes of JSON; the rest of the request is small.
const MAX_REQUEST_BYTES = 8 * 1024 * 1024;

/** Answers an SQS request. */
export async function handleSqs(sqs: Sqs, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = String(request.headers["x-amz-target"]);
  const run = target.startsWith(TARGET_PREFIX) && ACTIONS.get(target.slice(TARGET_PREFIX.length));
  if (!run) throw notImplemented(target);
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  const text = await readText(request);
  requireUndamaged(text, request.headers["x-amz-content-sha256"]);
  const parameters = parseJson(text);
  const answer = await run(sqs, parameters, {
    host: required(request.headers.host, "the Host header"),
    gone: gone.signal,
  });
  answerJson(response, 200, answer);
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) throw invalidParameter(`A request has at most ${MAX_REQUEST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** AWS refuses a body that is not the one signed; that much of signatures the emulator checks. */
function requireUndamaged(text: string, header: string | string[] | undefined): void {
  const signed = signedSha256(String(header));
  const got = signed && createHash("sha256").update(text).digest("hex");
  if (got !== signed)
    throw new ApiError(403, "SignatureDoesNotMatch", `The signed SHA-256 is ${signed}, the body's is ${got}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError(400, "InvalidRequest", "The request is not JSON", { cause });
  }
}

function answerJson(response: ServerResponse, status: number, value: object, headers = {}): void {
  const body = JSON.stringify(value);
  const type = { "content-type": "application/x-amz-json-1.0", "content-length": Buffer.byteLength(body) };
  response.writeHead(status, { ...type, "x-amz-crc32": crc32(body), ...headers });
  response.end(body);
}

// SQS's older protocol had other names for these errors; an answer has both.
const QUERY_CODES: Readonly<Record<string, string>> = {
  QueueDoesNotExist: "AWS.SimpleQueueService.NonExistentQueue",
  QueueNameExists: "QueueAlreadyExists",
  MessageNotInflight: "AWS.SimpleQueueService.MessageNotInflight",
  BatchRequestTooLong: "AWS.SimpleQueueService.BatchRequestTooLong",
  BatchEntryIdsNotDistinct: "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
  EmptyBatchRequest: "AWS.SimpleQueueService.EmptyBatchRequest",
  TooManyEntriesInBatchRequest: "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
};

/** Answers with an error in SQS's form. */
export function answerSqsError(response: ServerResponse, error: ApiError): void {
  const fault = error.status < 500 ? "Sender" : "Receiver";
  const headers = { "x-amzn-query-error": `${QUERY_CODES[error.code] ?? error.code};${fault}` };
  answerJson(
    response,
    error.status,
    { __type: `com.amazonaws.sqs#${error.code}`, message: error.message },
    headers,
  );
}

/** Removes messages and deduplication ids that have expired. */
export async function removeExpired({ store, now }: Sqs): Promise<void> {
  await store.write(() => {
    removeExpiredDedups(store, now());
    for (const name of queueNames(store, "")) removeExpiredMessages(store, requireQueue(store, name), now());
  });
}
