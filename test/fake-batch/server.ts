import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import * as client from "@aws-sdk/client-batch";
import { required } from "../../protocol/required.ts";
import { BatchError, beyondTheFake } from "./errors.ts";
import { FakeBatch, type FakeBatchOptions } from "./fake-batch.ts";
import { check } from "./model.ts";
import { describeJobs } from "./operations/describe-jobs.ts";
import { describeJobDefinitions, registerJobDefinition } from "./operations/job-definitions.ts";
import { createJobQueue, describeComputeEnvironments, describeJobQueues } from "./operations/job-queues.ts";
import { listJobs } from "./operations/list-jobs.ts";
import { submitJob } from "./operations/submit-job.ts";
import { terminateJob } from "./operations/terminate-job.ts";

export type FakeBatchServer = {
  readonly endpoint: string;
  readonly batch: FakeBatch;
  close(): Promise<void>;
};

/** An operation's schema in the SDK's client: `[9, namespace, name, {http: [method, path, status]}, input, output]`. */
type Operation = {
  readonly schema: readonly unknown[];
  readonly perform: (batch: FakeBatch, request: never) => object;
};

const operations: readonly Operation[] = [
  { schema: client.SubmitJob$, perform: submitJob },
  { schema: client.DescribeJobs$, perform: describeJobs },
  { schema: client.ListJobs$, perform: listJobs },
  { schema: client.TerminateJob$, perform: terminateJob },
  { schema: client.RegisterJobDefinition$, perform: registerJobDefinition },
  { schema: client.DescribeJobDefinitions$, perform: describeJobDefinitions },
  { schema: client.CreateJobQueue$, perform: createJobQueue },
  { schema: client.DescribeJobQueues$, perform: describeJobQueues },
  { schema: client.DescribeComputeEnvironments$, perform: describeComputeEnvironments },
];
const byPath = new Map(operations.map((operation) => [pathOf(operation.schema), operation]));

function pathOf(schema: readonly unknown[]): string {
  const { http } = schema[3] as { readonly http: readonly [string, string, number] };
  return http[1];
}

/** Starts a fake AWS Batch on 127.0.0.1. @param port 0 takes a free one */
export async function startFakeBatch(options: FakeBatchOptions, port = 0): Promise<FakeBatchServer> {
  const batch = new FakeBatch(options);
  const server = createServer((request, response) => {
    answer(batch, request, response).catch((error: unknown) => answerError(response, error));
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const bound = typeof address === "object" && address ? address.port : port;
  return {
    endpoint: `http://127.0.0.1:${bound}`,
    batch,
    async close() {
      server.close();
      server.closeAllConnections();
      await batch.close();
    },
  };
}

async function answer(batch: FakeBatch, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(required(request.url, "the path of a request"), "http://127.0.0.1");
  const body = await bodyOf(request);
  if (pathname === "/_fake/reclaim") return answerJson(response, 200, { reclaimed: reclaim(batch, body) });
  const operation = byPath.get(pathname);
  if (!operation) throw beyondTheFake(`${request.method} ${pathname}`);
  const [, , name, , input, output] = operation.schema;
  check(input, body, String(name));
  const result = JSON.parse(JSON.stringify(operation.perform(batch, body as never)));
  check(output, result, `the answer to ${name}`);
  answerJson(response, 200, result);
}

/** Reclaims hosts, which AWS does by itself and a test in another process has to ask for. */
function reclaim(batch: FakeBatch, body: object): number {
  return batch.reclaim("count" in body && typeof body.count === "number" ? body.count : 1);
}

async function bodyOf(request: IncomingMessage): Promise<object> {
  const sent = await text(request);
  const body: unknown = sent === "" ? {} : JSON.parse(sent);
  if (typeof body !== "object" || body === null) throw new BatchError("the body must be a JSON object");
  return body;
}

function answerJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function answerError(response: ServerResponse, thrown: unknown): void {
  const isBatchError = thrown instanceof BatchError;
  if (!isBatchError) console.error(thrown);
  const error = isBatchError ? thrown : new BatchError(String(thrown), "ServerException", 500);
  response.setHeader("x-amzn-errortype", error.type);
  answerJson(response, error.status, { message: error.message });
}
