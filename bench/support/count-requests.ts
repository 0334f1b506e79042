import { subscribe } from "node:diagnostics_channel";
import { writeFileSync } from "node:fs";
import type { ClientRequest, IncomingMessage } from "node:http";

/**
 * Counts the requests that this process sends to S3 and SQS, by kind, and the bytes of their bodies. A child process
 * that is started with `--import` of this file writes its counts to `PS_REQUEST_COUNTS` when it ends.
 */
export type Counts = Record<string, { requests: number; bytes: number }>;

/** Starts counting; what it returns gives the counts so far. */
export function countRequests(): () => Counts {
  const counts: Counts = {};
  const add = (request: ClientRequest, bytes: number, requests: number) => {
    const kind = kindOf(request);
    const count = counts[kind] ?? { requests: 0, bytes: 0 };
    counts[kind] = { requests: count.requests + requests, bytes: count.bytes + bytes };
  };
  subscribe("http.client.request.start", (message) => {
    const { request } = message as { request: ClientRequest };
    add(request, Number(request.getHeader("content-length") ?? 0), 1);
  });
  subscribe("http.client.response.finish", (message) => {
    const { request, response } = message as { request: ClientRequest; response: IncomingMessage };
    add(request, Number(response.headers["content-length"] ?? 0), 0);
  });
  return () => structuredClone(counts);
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
