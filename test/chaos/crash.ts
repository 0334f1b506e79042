import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

/**
 * Preloaded (`--import`) into a worker or the functions: kills the process with SIGKILL at the n-th time it passes
 * a named point, as `PS_CRASH=after-put:3` says. The code under test knows nothing of it.
 *
 * - `after-put`: S3 has answered a PUT; nobody has been told yet
 * - `after-send`: SQS has answered a SendMessage
 * - `before-ack`: the process is about to delete a message
 * - `before-remove`: the process is about to delete objects
 */
export const points = ["after-put", "after-send", "before-ack", "before-remove"] as const;
export type Point = (typeof points)[number];

const [point = "", nth = ""] = (process.env.PS_CRASH ?? "").split(":");
let left = Number(nth);

const pass = (name: Point): void => {
  if (name === point && --left === 0) process.kill(process.pid, "SIGKILL");
};

const targetOf = (request: ClientRequest): string => String(request.getHeader("x-amz-target") ?? "");

if (point !== "") {
  subscribe("http.client.request.start", (message) => {
    const { request } = message as { request: ClientRequest };
    if (targetOf(request).includes("DeleteMessage")) pass("before-ack");
    if (request.method === "POST" && request.path.includes("delete")) pass("before-remove");
  });
  subscribe("http.client.response.finish", (message) => {
    const { request } = message as { request: ClientRequest };
    if (request.method === "PUT") pass("after-put");
    if (targetOf(request).includes("SendMessage")) pass("after-send");
  });
}
