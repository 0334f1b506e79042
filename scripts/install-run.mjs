/** Shared by the installer's steps: running a program, showing progress, and the one way to fail. */
import { spawn } from "node:child_process";

/** Native TensorFlow cannot be installed here: a sentence that says why, and the command that would change it. */
export class Unavailable extends Error {
  /**
   * @param {string} reason
   * @param {string} [fix] a command to run before setup
   */
  constructor(reason, fix) {
    super(reason);
    this.name = "Unavailable";
    this.fix = fix;
  }
}

/** Returns the command that installs every tool that the installation needs. */
export function installHint() {
  return process.platform === "darwin"
    ? "xcode-select --install"
    : "sudo apt-get install -y python3 python3-pip g++";
}

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();

/** Ends every program this installer started. */
export function killChildren() {
  for (const child of running) child.kill("SIGKILL");
}

/**
 * Runs a program to its end, never through a shell. Its stdin stays open until this process ends, so that a child
 * that reads it notices when this process dies.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, signal?: AbortSignal }} [options]
 * @returns {Promise<{ code: number, output: string, stdout: string }>} code -1 when the program is not there
 */
export function run(command, args, { env = process.env, signal } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      env,
      signal,
      killSignal: "SIGKILL",
      stdio: ["pipe", "pipe", "pipe"],
    });
    const text = { output: "", stdout: "" };
    running.add(child);
    child.stdout.on("data", (chunk) => {
      text.stdout += chunk;
      text.output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      text.output += chunk;
    });
    child.on("error", (error) => {
      text.output += error.message;
      if (child.pid === undefined) done({ code: -1, ...text });
    });
    child.on("close", (code, killedBy) => {
      running.delete(child);
      done({
        code: code ?? 1,
        ...text,
        output: killedBy ? `${text.output}\nended by ${killedBy}` : text.output,
      });
    });
  });
}

/**
 * Shows the progress of a step: one rewritten line on a terminal, else a line at the start and every ten
 * seconds. Aborts the step when it makes no progress for `stallSeconds`.
 * @template T
 * @param {{ label: string, total: number, measure: () => number, stallSeconds?: number }} step in bytes
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withProgress({ label, total, measure, stallSeconds = 240 }, work) {
  const stop = new AbortController();
  const terminal = process.stderr.isTTY === true;
  const started = Date.now();
  let last = { bytes: 0, at: started, printed: started };
  if (!terminal) process.stderr.write(`${label}: ${megabytes(total)} MB\n`);
  const timer = setInterval(() => {
    const now = Date.now();
    const bytes = measure();
    if (bytes !== last.bytes) last = { ...last, bytes, at: now };
    else if (now - last.at > stallSeconds * 1000) stop.abort();
    if (!terminal && now - last.printed < 10_000) return;
    last.printed = now;
    const line = `${label}: ${megabytes(Math.min(bytes, total))} of ${megabytes(total)} MB, ${seconds(started)} s`;
    process.stderr.write(terminal ? `\r\x1b[2K${line}` : `${line}\n`);
  }, 250);
  try {
    return await work(stop.signal);
  } finally {
    clearInterval(timer);
    if (terminal) process.stderr.write(`\r\x1b[2K${label}: done in ${seconds(started)} s\n`);
  }
}

/** @param {number} bytes */
function megabytes(bytes) {
  return Math.round(bytes / 1e6);
}

/** @param {number} since */
function seconds(since) {
  return ((Date.now() - since) / 1000).toFixed(0);
}
