import { type StdioOptions, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { codeOfSignal, exitCodes } from "./exit.ts";

/** Marks the child in which the work is done, and says whether it has the terminal as TERMINAL. */
const MARK = "PS_QUIETLY";
const TERMINAL = 3;

/** Whether this process is such a child. */
export const isQuiet = (): boolean => process.env[MARK] !== undefined;

/** The terminal that standard error is, for what is written over; null when it is none. */
export function terminal(): number | null {
  if (process.stderr.isTTY) return process.stderr.fd;
  return process.env[MARK] === "terminal" ? TERMINAL : null;
}

/** What TensorFlow's C++ code says when it loads a graph; no setting of its own silences it. */
const NOISE = /^(WARNING: All log messages before absl::InitializeLog\(\)|I0000 .*MLIR V1 optimization pass)/;

/**
 * Runs a command in a child process whose standard error is passed on without TensorFlow's noise.
 *
 * @param args the command line, for the child
 * @param command does the work, in the child; returns the exit code
 */
export async function quietly(args: readonly string[], command: () => Promise<number>): Promise<number> {
  if (isQuiet()) return command();
  const script = process.argv[1] ?? "";
  const env = { ...process.env, [MARK]: process.stderr.isTTY ? "terminal" : "no terminal" };
  const stdio: StdioOptions = [
    "inherit",
    "inherit",
    "pipe",
    process.stderr.isTTY ? process.stderr : "ignore",
  ];
  const child = spawn(process.execPath, [script, ...args], { stdio, env });
  if (!child.stderr) throw new Error("the child's standard error must be a pipe");
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (!NOISE.test(line)) process.stderr.write(`${line}\n`);
  });
  // A terminal sends Ctrl-C to both; the child answers it, and this process only waits.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const known = signal === "SIGINT" || signal === "SIGTERM" || signal === "SIGHUP";
      resolve(code ?? (known ? codeOfSignal(signal) : exitCodes.environment));
    });
  });
}
