import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join, relative } from "node:path";
import { text } from "node:stream/consumers";

export type FakeServices = {
  readonly endpoint: string;
  /** SSM parameters by name. */
  readonly parameters: Map<string, string>;
  /** Service quotas by code; any other is 0. */
  readonly quotas: Map<string, number>;
  close(): void;
};

const IDENTITY =
  "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/me</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>";

type Request = Readonly<Record<string, unknown>>;

/**
 * What ps-submit asks of SSM, CloudWatch Logs, STS and Service Quotas, apart from their limits.
 *
 * @param groups folder of each log group; a file in it is a stream
 */
export async function startFakeServices(groups: Readonly<Record<string, string>>): Promise<FakeServices> {
  const parameters = new Map<string, string>();
  const quotas = new Map<string, number>();
  const perform: Readonly<Record<string, (request: Request) => object | null>> = {
    "AmazonSSM.GetParametersByPath": ({ Path }) => ({ Parameters: below(parameters, String(Path)) }),
    "ServiceQuotasV20190624.GetServiceQuota": ({ QuotaCode }) => ({
      Quota: { Value: quotas.get(String(QuotaCode)) ?? 0 },
    }),
    "Logs_20140328.GetLogEvents": ({ logGroupName, logStreamName, limit }) => {
      const events = eventsOf(groups[String(logGroupName)], [String(logStreamName)]);
      return events && { events: events.slice(-Number(limit)) };
    },
    "Logs_20140328.FilterLogEvents": ({ logGroupName, logStreamNames, filterPattern }) => {
      const events = eventsOf(groups[String(logGroupName)], logStreamNames as string[] | undefined);
      const job = /\$\.job = "([^"]+)"/.exec(String(filterPattern ?? ""))?.[1];
      return (
        events && { events: events.filter(({ message }) => job === undefined || message.includes(`"${job}`)) }
      );
    },
  };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      if (body.includes("Action=GetCallerIdentity")) return response.end(IDENTITY);
      const operation = perform[String(request.headers["x-amz-target"])];
      answer(response, operation?.(JSON.parse(body) as Request) ?? null);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { endpoint: `http://127.0.0.1:${port}`, parameters, quotas, close };
}

function answer(response: ServerResponse, result: object | null): void {
  response.writeHead(result ? 200 : 400, { "content-type": "application/x-amz-json-1.1" });
  response.end(JSON.stringify(result ?? { __type: "ResourceNotFoundException", message: "not there" }));
}

const below = (parameters: ReadonlyMap<string, string>, path: string) =>
  [...parameters].flatMap(([Name, Value]) => (Name.startsWith(path) ? [{ Name, Value }] : []));

/** Null when the group, or one of the streams, is not there. */
function eventsOf(folder: string | undefined, streams: readonly string[] | undefined) {
  if (folder === undefined) return null;
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const there = files.map(({ parentPath, name }) => relative(folder, join(parentPath, name)));
  if (streams?.some((stream) => !there.includes(stream))) return null;
  return there
    .filter((stream) => streams === undefined || streams.includes(stream))
    .flatMap((stream) => {
      const lines = readFileSync(join(folder, stream), "utf8").trimEnd().split("\n");
      return lines.map((message, line) => ({
        ...{ eventId: `${stream}/${line}`, timestamp: Date.now(), logStreamName: stream, message },
      }));
    });
}
