import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { required } from "../../protocol/required.ts";
import { commandOf, type Installed } from "../../scripts/python-packages.mjs";

/** A server that a test started, with a folder of its own. */
export type Service = {
  readonly port: number;
  readonly folder: string;
  readonly pid: number;
  /** Its output so far. */
  log(): string;
  stop(): Promise<void>;
};

const START_DEADLINE_MS = 60_000;
const STOP_GRACE_MS = 5_000;
const POLL_MS = 50;

export type ServiceOptions = {
  /** Variables besides those of this process, of which it gets all but the AWS settings. */
  environment(port: number, folder: string): Promise<Record<string, string>> | Record<string, string>;
  /** True once it serves; an error counts as false. */
  isReady(port: number): Promise<boolean>;
};

/** Starts a Python program that serves on a free port of this machine. */
export async function startService(
  installed: Installed,
  { environment, isReady }: ServiceOptions,
): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), "ps-service-"));
  const [port, logFile] = [await freePort(), join(folder, "log")];
  const { command, args, env } = commandOf(installed);
  const output = openSync(logFile, "a");
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...withoutAws(process.env), ...env, TMPDIR: folder, ...(await environment(port, folder)) },
    stdio: ["ignore", output, output],
  });
  const log = () => readFileSync(logFile, "utf8");
  const stop = async () => {
    process.off("exit", killNow);
    await end(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  // A test that fails before it stops its server must not leave it running.
  const killNow = () => child.kill("SIGKILL");
  process.once("exit", killNow);
  try {
    await ready(child, () => isReady(port));
  } catch (error) {
    const end = log().split("\n").slice(-20).join("\n");
    await stop();
    throw new Error(`${installed.module} did not start: ${error}\n${end}`, { cause: error });
  }
  return { port, folder, pid: required(child.pid, "the process id"), log, stop };
}

/** The environment without the settings of AWS tools, which are not meant for a server. */
function withoutAws(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("AWS_")));
}

async function ready(child: ChildProcess, isReady: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  let failure: Error | undefined;
  child.once("error", (error) => {
    failure = error;
  });
  while (!(await isReady().catch(() => false))) {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw new Error(`it was not ready after ${START_DEADLINE_MS} ms`);
    await sleep(POLL_MS);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

/** A port that nothing listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
