import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { tailOf } from "../log-tail.ts";
import { findEmulator } from "./address.ts";

const START_DEADLINE_MS = 15_000;
const POLL_MS = 20;
const TAIL_LINES = 15;

/** A process's claim on the emulator, which runs while there are holds. It ends with the process at the latest. */
export type Hold = {
  readonly release: () => void;
  /** Resolves when the connection breaks though it was not released: the emulator is gone. */
  readonly lost: Promise<void>;
};

/** The name of a hold is taken by a process that is still running. */
export class HoldTakenError extends Error {
  override readonly name = "HoldTakenError";
}

/**
 * Finds the emulator of a data folder, or starts it as a process of its own from the script `entry`.
 * It ends by itself a few seconds later unless `hold` is called.
 */
export async function ensureEmulator(dataDir: string, entry: string): Promise<{ endpoint: string }> {
  const running = await findEmulator(dataDir);
  if (running) return { endpoint: running };
  const log = join(resolve(dataDir), "logs", "emulator.log");
  const child = start(resolve(dataDir), entry, log);
  const failed = failureOf(child);
  const deadline = Date.now() + START_DEADLINE_MS;
  while (Date.now() < deadline) {
    const endpoint = await findEmulator(dataDir);
    if (endpoint) return { endpoint };
    if (failed()) break;
    await sleep(POLL_MS);
  }
  const reason = failed() ?? `did not answer within ${START_DEADLINE_MS / 1000} s`;
  const end = tailOf(log).split("\n").slice(-TAIL_LINES).join("\n");
  throw new Error(`The emulator ${reason}; its log ${log} ends with:\n${end}`);
}

function start(dataDir: string, entry: string, log: string): ChildProcess {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  mkdirSync(join(dataDir, "logs"), { recursive: true, mode: 0o700 });
  const output = openSync(log, "a", 0o600);
  const env = { ...process.env, PS_DATA_DIR: dataDir };
  const child = spawn(process.execPath, [entry], { detached: true, env, stdio: ["ignore", output, output] });
  closeSync(output);
  child.unref();
  return child;
}

/** Why the child cannot be waited for any longer; one that exits with 0 leaves the field to another. */
function failureOf(child: ChildProcess): () => string | undefined {
  let failure: string | undefined;
  child.once("error", ({ message }) => {
    failure = `could not be started: ${message}`;
  });
  child.once("exit", (code, signal) => {
    if (code !== 0) failure = `ended with ${signal ?? `exit status ${code}`}`;
  });
  return () => failure;
}

/** Keeps the emulator running until `release`, or the end of this process; throws HoldTakenError if another has the name. */
export async function hold(endpoint: string, name?: string): Promise<Hold> {
  const query = name === undefined ? "" : `?${new URLSearchParams({ name })}`;
  const response = await open(`${endpoint}/_local/hold${query}`);
  if (response.statusCode !== 200) {
    response.destroy();
    if (response.statusCode === 409) throw new HoldTakenError(`${name} is held by a running process`);
    throw new Error(`The emulator at ${endpoint} answered a hold with ${response.statusCode}`);
  }
  let released = false;
  // A hold must not keep its own process running.
  response.socket.unref();
  response.resume();
  response.on("error", () => {});
  const lost = new Promise<void>((resolve) => {
    response.once("close", () => {
      if (!released) resolve();
    });
  });
  const release = () => {
    released = true;
    response.destroy();
  };
  return { release, lost };
}

function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, resolve).once("error", reject);
  });
}

/** The names that running processes hold. */
export async function holds(endpoint: string): Promise<string[]> {
  const response = await fetch(`${endpoint}/_local/holds`);
  return z.array(z.string()).parse(await response.json());
}
