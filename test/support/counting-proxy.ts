import { once } from "node:events";
import { createServer, request as send } from "node:http";

/** Stands before an S3 endpoint, counts the parts that reach it, and can let no more of them through. */
export type CountingProxy = {
  readonly endpoint: string;
  /** Numbers of the parts that the endpoint has taken, in that order. */
  readonly parts: readonly number[];
  /** How many uploads were completed. */
  readonly completed: () => number;
  /** Lets through only so many more parts; the others wait for ever. */
  allow(parts: number): void;
  close(): Promise<void>;
};

export async function countingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const parts: number[] = [];
  let completed = 0;
  let allowed = Number.POSITIVE_INFINITY;
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "/", target).searchParams;
    const part = request.method === "PUT" ? query.get("partNumber") : null;
    const completes = request.method === "POST" && query.has("uploadId");
    if (part !== null && --allowed < 0) return;
    const { method, url: path, headers } = request;
    const onward = send({ hostname, port, method, path, headers }, (answer) => {
      const good = answer.statusCode === 200;
      if (part !== null && good) parts.push(Number(part));
      if (completes && good) completed++;
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.on("error", () => onward.destroy()).pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    parts,
    completed: () => completed,
    allow(count) {
      allowed = count;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
