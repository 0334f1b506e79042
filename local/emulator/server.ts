import { realpathSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import { Unrecoverable } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { required } from "../../protocol/required.ts";
import { endpointOf, findAddress, preferredPort, writeAddress } from "./address.ts";
import { Bodies } from "./bodies.ts";
import { DiskSpace, freeBytesOf } from "./disk-space.ts";
import { ApiError, asApiError } from "./errors.ts";
import { type AccessKeys, clientKey, isSame, openKeys, tokenOf } from "./keys.ts";
import { queueClock } from "./queue-clock.ts";
import { answerS3Error, handleS3 } from "./s3.ts";
import { namedFiles } from "./s3-objects.ts";
import type { S3 } from "./s3-operation.ts";
import { Sessions } from "./sessions.ts";
import { requireSignature } from "./signature.ts";
import { answerSqsError, handleSqs, removeExpired } from "./sqs.ts";
import type { Sqs } from "./sqs-action.ts";
import { Receivers } from "./sqs-receivers.ts";
import { Store } from "./store.ts";

export type EmulatorOptions = {
  readonly dataDir: string;
  /** @default the port it had the last time, or else one that depends on the folder's name */
  readonly port?: number | undefined;
  /** How long it outlives its last session. @default 5 */
  readonly idleSeconds?: number | undefined;
  /** Called when it has closed, because it was idle or by `close`. */
  readonly onClose?: (() => void) | undefined;
  /** Returns the bytes free on the disk of the data folder; tests fill a disk with it. */
  readonly freeBytes?: (() => Promise<number>) | undefined;
  readonly now?: (() => number) | undefined;
};

export type Emulator = { readonly endpoint: string; readonly close: () => void };

type Context = {
  readonly s3: S3;
  readonly sqs: Sqs;
  readonly sessions: Sessions;
  readonly dataDir: string;
  readonly keys: AccessKeys;
};

const DEFAULT_IDLE_SECONDS = 5;
const EXPIRY_MS = 60_000;

/** Starts the emulator on a data folder. Throws SQLite's "database is locked" when one runs there already. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  makeFolder(options.dataDir);
  // A folder may have several names; clients compare this one.
  const dataDir = realpathSync(options.dataDir);
  const keys = openKeys(dataDir);
  const store = new Store(dataDir);
  const space = new DiskSpace(dataDir, options.freeBytes ?? (() => freeBytesOf(dataDir)));
  const bodies = new Bodies(join(dataDir, "bodies"), space);
  bodies.sweep(namedFiles(store));
  const now = options.now ?? Date.now;
  const queueNow = options.now ?? queueClock(store);
  const receivers = new Receivers(store, queueNow);
  const sqs = { store, space, receivers, now: queueNow };
  const sessions = new Sessions((options.idleSeconds ?? DEFAULT_IDLE_SECONDS) * 1000, () => close());
  const context = { s3: { store, bodies, now }, sqs, sessions, dataDir, keys };
  const server = createHttpServer(context);
  const expiry = setInterval(() => removeExpired(sqs).catch(logFailure), EXPIRY_MS);
  const close = () => {
    clearInterval(expiry);
    sessions.stop();
    receivers.stop();
    server.close(() => options.onClose?.());
    server.closeAllConnections();
    store.close();
  };
  try {
    await removeExpired(sqs);
    const port = await listen(server, dataDir, options.port);
    writeAddress(dataDir, { port, pid: process.pid });
    return { endpoint: endpointOf(port), close };
  } catch (error) {
    close();
    throw error;
  }
}

function createHttpServer(context: Context): Server {
  // Bodies may be large and slow, and an idle connection must not be closed just when a client begins to use it.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 3_600_000, noDelay: true });
  server.on("request", (request, response) => {
    handle(context, request, response).catch((error: unknown) =>
      answerError(context, request, response, error),
    );
  });
  return server;
}

async function handle(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  requireLocal(request);
  if (urlOf(request).startsWith("/_local/")) return handleLocal(context, request, response);
  requireSignature(request, context.keys);
  if (request.headers["x-amz-target"] !== undefined) return handleSqs(context.sqs, request, response);
  return handleS3(context.s3, request, response);
}

const urlOf = ({ url }: IncomingMessage): string => required(url, "the path of a request");

/** Refuses what a web page could send: a request to a name that resolves to this machine, or one across origins. */
function requireLocal({ headers }: IncomingMessage): void {
  const host = headers.host?.replace(/:\d+$/, "");
  if (host !== "127.0.0.1" && host !== "localhost")
    throw new ApiError(403, "AccessDenied", `Host must be 127.0.0.1 or localhost, got ${headers.host}`);
  if (headers.origin !== undefined)
    throw new ApiError(
      403,
      "AccessDenied",
      `Requests from web pages are refused, got Origin ${headers.origin}`,
    );
}

function handleLocal(
  { sessions, dataDir, keys }: Context,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { pathname, searchParams } = new URL(urlOf(request), "http://localhost");
  const path = `${request.method} ${pathname}`;
  requireToken(request, keys);
  sessions.restartGrace();
  if (path === "GET /_local/health") answerHealth(request, response, { dataDir, keys });
  else if (path === "GET /_local/claims") answerJson(response, 200, sessions.claims());
  else if (path === "GET /_local/session")
    openSession(sessions, searchParams.get("claim") ?? undefined, response);
  else answerJson(response, 404, { error: `there is no ${path}` });
}

/** Refuses a request of a program that can't read the folder's keys. */
function requireToken(request: IncomingMessage, keys: AccessKeys): void {
  const wanted = tokenOf(clientKey(keys), "request", `${endpointOf(portOf(request))}${urlOf(request)}`);
  if (!isSame(request.headers.authorization ?? "", wanted))
    throw new ApiError(403, "AccessDenied", "A request needs the token that a key of this folder makes");
}

const portOf = ({ socket }: IncomingMessage): number => required(socket.localPort, "the port of a request");

/** Proves that this is the folder's emulator, and no program that took its port. */
function answerHealth(
  request: IncomingMessage,
  response: ServerResponse,
  { dataDir, keys }: Pick<Context, "dataDir" | "keys">,
): void {
  const proof = tokenOf(clientKey(keys), "proof", `${endpointOf(portOf(request))}${urlOf(request)}`);
  answerJson(response, 200, { pid: process.pid, dataDir, proof });
}

function openSession(sessions: Sessions, job: string | undefined, response: ServerResponse): void {
  if (sessions.open(response, job)) {
    response.writeHead(200, { "content-type": "text/plain" });
    response.write("open\n");
  } else answerJson(response, 409, { error: `a running process has claimed ${job}` });
}

function answerJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

function answerError(
  context: Context,
  request: IncomingMessage,
  response: ServerResponse,
  thrown: unknown,
): void {
  const cause = asApiError(thrown, context.dataDir);
  // Too late for an answer: cut the connection, so that the client does not take half a body for a whole one.
  if (response.headersSent || response.destroyed) return void response.destroy();
  if (!(cause instanceof ApiError)) logFailure(cause);
  const error = cause instanceof ApiError ? cause : new ApiError(500, "InternalError", String(cause));
  if (request.headers["x-amz-target"] !== undefined) answerSqsError(response, error);
  else answerS3Error(response, error, request.method === "HEAD");
}

function logFailure(error: unknown): void {
  console.error(new Date().toISOString(), error);
}

async function listen(server: Server, dataDir: string, port: number | undefined): Promise<number> {
  const wanted = port === undefined ? [findAddress(dataDir)?.port, preferredPort(dataDir), 0] : [port];
  for (const candidate of wanted) {
    const got = candidate === undefined ? undefined : await tryListen(server, candidate);
    if (got !== undefined) return got;
  }
  throw new Unrecoverable(`port ${port} of 127.0.0.1 is in use by another program`);
}

/** Listens on a port; undefined when another program has it. */
function tryListen(server: Server, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error);
    server.once("error", failed);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", failed);
      const address = server.address();
      resolve(typeof address === "object" ? address?.port : undefined);
    });
  });
}
