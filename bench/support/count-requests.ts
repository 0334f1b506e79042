import { subscribe } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import { ClientRequest, IncomingMessage } from "node:http";
import { z } from "zod";
import { Bug } from "../../protocol/errors.ts";

/**
 * Counts the requests that this process sends to S3 and SQS, by kind, and the bytes of their bodies. A child process
 * that is started with `--import` of this file writes its counts to `PS_REQUEST_COUNTS` when it ends.
 */
export const countsSchema = z.record(z.string(), z.object({ requests: z.number(), bytes: z.number() }));
export type Counts = z.infer<typeof countsSchema>;

/** Starts counting; returns a function that gives the counts so far. */
export function countRequests(): () => Counts {
  const counts: Counts = {};
  const add = (request: ClientRequest, bytes: number, requests: number) => {
    const kind = kindOf(request);
    const count = counts[kind] ?? { requests: 0, bytes: 0 };
    counts[kind] = { requests: count.requests + requests, bytes: count.bytes + bytes };
  };
  subscribe("http.client.request.start", (message) => {
    const request = requestOf(message);
    // A request without a body has no length.
    add(request, Number(request.getHeader("content-length") ?? 0), 1);
  });
  subscribe("http.client.response.finish", (message) => {
    add(requestOf(message), Number(responseOf(message).headers["content-length"] ?? 0), 0);
  });
  return () => structuredClone(counts);
}

function requestOf(message: unknown): ClientRequest {
  if (
    typeof message === "object" &&
    message &&
    "request" in message &&
    message.request instanceof ClientRequest
  )
    return message.request;
  throw new Bug("a message of node:http has no request");
}

function responseOf(message: unknown): IncomingMessage {
  if (
    typeof message === "object" &&
    message &&
    "response" in message &&
    message.response instanceof IncomingMessage
  )
    return message.response;
  throw new Bug("a message of node:http has no response");
}

function kindOf(request: ClientRequest): string {
  const target = request.getHeader("x-amz-target");
  if (typeof target === "string") return target.replace("AmazonSQS.", "SQS ");
  if (request.path.includes("list-type=2")) return "S3 LIST";
  if (request.method === "POST") return "S3 DELETE";
  return `S3 ${request.method}`;
}

const file = process.env.PS_REQUEST_COUNTS;
if (file !== undefined) {
  const counts = countRequests();
  process.on("exit", () => writeFileSync(file, JSON.stringify(counts())));
}
