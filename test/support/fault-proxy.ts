import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { sha256 } from "../../protocol/digest.ts";
import { at } from "../../protocol/required.ts";

/**
 * What a network does to a request and its answer:
 *
 * - `damageRequest`, `damageAnswer`: some bytes of the body arrive as others
 * - `shortenRequest`, `shortenAnswer`: the end of the body is lost; half the time its length is right for what is left,
 *   half the time the connection breaks
 * - `dropRequest`: it does not arrive; `dropAnswer`: it was done, and nobody learns of it
 * - `delay`: it arrives late
 * - `double`: it arrives twice
 * - `refuse`: it is not done, and answered with 500, 503, or 409 where it is conditional
 */
export const faults = [
  "damageRequest",
  "damageAnswer",
  "shortenRequest",
  "shortenAnswer",
  "dropRequest",
  "dropAnswer",
  "delay",
  "double",
  "refuse",
] as const;
export type Fault = (typeof faults)[number];

export type FaultPlan = {
  readonly seed: number | string;
  /** Of all requests, those that meet each fault: from 0 to 1. */
  readonly shares: Readonly<Partial<Record<Fault, number>>>;
  /** @default 500 */
  readonly delayMs?: number;
};

/** Stands before an endpoint of S3 and SQS and disturbs what passes, as its plan says. */
export type FaultProxy = {
  readonly endpoint: string;
  /** How often each fault was done. */
  readonly counts: ReadonlyMap<Fault, number>;
  close(): Promise<void>;
};

type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer };
/** A request on its way: its number, and whether it meets a fault. */
type Passage = { readonly number: number; meets(fault: Fault): boolean; random(what: string): number };

export async function faultProxy(target: string, plan: FaultPlan): Promise<FaultProxy> {
  const counts = new Map<Fault, number>();
  let requests = 0;
  const begin = (): Passage => {
    const number = requests++;
    const random = (what: string) => drawn(plan.seed, number, what);
    const meets = (fault: Fault) => {
      if (random(fault) >= (plan.shares[fault] ?? 0)) return false;
      counts.set(fault, (counts.get(fault) ?? 0) + 1);
      return true;
    };
    return { number, meets, random };
  };
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 3_600_000 }, (request, response) => {
    // The connections that keep the emulator alive are no requests of S3 or SQS.
    if (request.url?.startsWith("/_local/")) return passOn(target, request, response);
    disturb(target, plan, begin(), request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    counts,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function disturb(
  target: string,
  plan: FaultPlan,
  passage: Passage,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await bytesOf(request);
  if (passage.meets("delay")) await sleep(plan.delayMs ?? 500);
  if (passage.meets("dropRequest")) return void response.destroy();
  if (passage.meets("refuse")) return refuse(passage, request, response);
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const sent = disturbBody(passage, "Request", body);
  if (passage.meets("double")) await exchange(target, request, sent, gone.signal).catch(() => {});
  const answer = await exchange(target, request, sent, gone.signal);
  if (passage.meets("dropAnswer")) return void response.destroy();
  await give(response, request.method === "HEAD", answer, disturbBody(passage, "Answer", answer.body));
}

const REFUSALS = [
  [500, "InternalError"],
  [503, "SlowDown"],
  [409, "ConditionalRequestConflict"],
] as const;

/** Answers as S3 or SQS in trouble. */
function refuse(passage: Passage, { method, headers }: IncomingMessage, response: ServerResponse): void {
  const isConditional = headers["if-match"] !== undefined || headers["if-none-match"] !== undefined;
  const among = isConditional ? REFUSALS : REFUSALS.slice(0, 2);
  const [status, code] = at(among, Math.floor(passage.random("refusal") * among.length), "a refusal");
  const isSqs = headers["x-amz-target"] !== undefined;
  const json = JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message: "a refusal of a test" });
  const xml = `<Error><Code>${code}</Code><Message>a refusal of a test</Message></Error>`;
  response.writeHead(status, { "content-type": isSqs ? "application/x-amz-json-1.0" : "application/xml" });
  response.end(method === "HEAD" ? undefined : isSqs ? json : xml);
}

/** A body as it arrives: `length` is what its sender announces. */
type Sent = { readonly bytes: Buffer; readonly length: number };

function disturbBody(passage: Passage, which: "Request" | "Answer", body: Buffer): Sent {
  if (body.length === 0) return { bytes: body, length: 0 };
  const damaged = passage.meets(`damage${which}`) ? damage(passage, which, body) : body;
  if (!passage.meets(`shorten${which}`)) return { bytes: damaged, length: body.length };
  const bytes = damaged.subarray(0, Math.floor(passage.random(`${which} rest`) * body.length));
  const fits = passage.random(`${which} length`) < 0.5;
  return { bytes, length: fits ? bytes.length : body.length };
}

/** Changes one to three bytes. */
function damage(passage: Passage, which: string, body: Buffer): Buffer {
  const damaged = Buffer.from(body);
  const flips = 1 + Math.floor(passage.random(`${which} flips`) * 3);
  for (let flip = 0; flip < flips; flip++) {
    const at = Math.floor(passage.random(`${which} place ${flip}`) * body.length);
    const mask = 1 << Math.floor(passage.random(`${which} bit ${flip}`) * 8);
    damaged.writeUInt8(body.readUInt8(at) ^ mask, at);
  }
  return damaged;
}

/** Sends a request on. Rejects when it gets no whole answer. */
async function exchange(
  target: string,
  { method, url, headers }: IncomingMessage,
  { bytes, length }: Sent,
  signal: AbortSignal,
): Promise<Answer> {
  const { hostname, port } = new URL(target);
  const announced = headers["content-length"] === undefined ? {} : { "content-length": String(length) };
  const rest = Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "transfer-encoding"));
  const onward = send({ hostname, port, method, path: url, headers: { ...rest, ...announced }, signal });
  const answered = once(onward, "response");
  if (bytes.length < length) {
    onward.write(bytes, () => onward.destroy());
  } else onward.end(bytes);
  const [answer]: IncomingMessage[] = await answered;
  if (answer === undefined) throw new Error("no answer came");
  return { status: answer.statusCode ?? 500, headers: answer.headers, body: await bytesOf(answer) };
}

async function give(
  response: ServerResponse,
  head: boolean,
  { status, headers }: Answer,
  { bytes, length }: Sent,
): Promise<void> {
  const { "transfer-encoding": _, ...rest } = headers;
  response.writeHead(status, head ? rest : { ...rest, "content-length": String(length) });
  if (bytes.length < length) {
    response.write(bytes, () => response.destroy());
  } else response.end(head ? undefined : bytes);
}

function passOn(target: string, request: IncomingMessage, response: ServerResponse): void {
  const { hostname, port } = new URL(target);
  const { method, url, headers } = request;
  const onward = send({ hostname, port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
    answer.once("close", () => response.destroy());
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  request.on("error", () => onward.destroy()).pipe(onward);
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** In [0, 1), by seed. */
function drawn(seed: number | string, request: number, what: string): number {
  return Number.parseInt(sha256(`${seed} ${request} ${what}`).slice(0, 8), 16) / 2 ** 32;
}
