import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { awakeNow } from "../../protocol/awake-time.ts";
import { describe, InvalidInput, Unrecoverable } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { tailOf } from "../log-tail.ts";
import { findEmulator, type RunningEmulator } from "./address.ts";
import { get, getJson } from "./loopback.ts";

const START_DEADLINE_MS = 15_000;
const POLL_MS = 20;
const TAIL_LINES = 15;

/** Keeps the emulator running until it is closed, or this process ends. */
export type Session = {
  readonly close: () => void;
  /** Resolves when the connection breaks though it was not closed: the emulator is gone. */
  readonly lost: Promise<void>;
};

/** This process's exclusive right to a job, until it is released or this process ends. */
export type Claim = { readonly release: () => void; readonly lost: Promise<void> };

/**
 * Finds the emulator of a data folder, or starts it as a process of its own from the script `entry`.
 * It ends by itself a few seconds later unless a session is opened.
 */
export async function ensureEmulator(dataDir: string, entry: string): Promise<RunningEmulator> {
  const running = await findEmulator(dataDir);
  if (running) return running;
  const log = join(resolve(dataDir), "logs", "emulator.log");
  const child = start(resolve(dataDir), entry, log);
  const failed = failureOf(child);
  const deadline = awakeNow() + START_DEADLINE_MS;
  while (awakeNow() < deadline) {
    const started = await findEmulator(dataDir);
    if (started) return started;
    if (failed()) break;
    await sleep(POLL_MS);
  }
  const reason = failed() ?? `did not answer within ${START_DEADLINE_MS / 1000} s`;
  const end = tailOf(log).split("\n").slice(-TAIL_LINES).join("\n");
  throw new Unrecoverable(`the emulator ${reason}; its log ${log} ends with:\n${end}`);
}

function start(dataDir: string, entry: string, log: string): ChildProcess {
  makeDataFolder(join(dataDir, "logs"));
  const output = openSync(log, "a", 0o600);
  const env = { ...process.env, PS_DATA_DIR: dataDir };
  const child = spawn(process.execPath, [entry], { detached: true, env, stdio: ["ignore", output, output] });
  closeSync(output);
  child.unref();
  return child;
}

function makeDataFolder(path: string): void {
  try {
    makeFolder(path);
  } catch (cause) {
    const fix = "set PS_DATA_DIR to a folder that can be written";
    throw new InvalidInput(`the folder ${path} cannot be made (${describe(cause)}); ${fix}`, { cause });
  }
}

/** Returns why waiting for the child is useless. One that exits with 0 found another that runs or starts. */
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

/** Opens a session. */
export async function openSession({ endpoint, key }: RunningEmulator): Promise<Session> {
  return sessionOf(await get(`${endpoint}/_local/session`, key));
}

/** Claims a job; null while another process has claimed it. */
export async function claim({ endpoint, key }: RunningEmulator, job: string): Promise<Claim | null> {
  const response = await get(`${endpoint}/_local/session?${new URLSearchParams({ claim: job })}`, key);
  if (response.statusCode === 409) {
    response.destroy();
    return null;
  }
  const { close, lost } = sessionOf(response);
  return { release: close, lost };
}

/** The jobs that running processes have claimed. */
export async function claims({ endpoint, key }: RunningEmulator): Promise<string[]> {
  return z.array(z.string()).parse(await getJson(`${endpoint}/_local/claims`, key));
}

function sessionOf(response: IncomingMessage): Session {
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Unrecoverable(`the emulator answered a session with ${response.statusCode}`);
  }
  let closed = false;
  // A session must not keep its own process running.
  response.socket.unref();
  response.resume();
  // A connection that breaks closes too, which is heard below.
  response.on("error", () => {});
  const lost = new Promise<void>((resolve) => {
    response.once("close", () => {
      if (!closed) resolve();
    });
  });
  const close = () => {
    closed = true;
    response.destroy();
  };
  return { close, lost };
}
