import { type StdioOptions, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Bug } from "../../protocol/errors.ts";
import { required } from "../../protocol/required.ts";
import { codeOfSignal, exitCodes } from "./exit.ts";

/** Marks the child that does the work: "terminal" when it has the terminal as descriptor TERMINAL. */
const MARK = "PS_FILTERED_STDERR";
const TERMINAL = 3;

/** True in such a child. */
export const hasFilteredStderr = (): boolean => process.env[MARK] !== undefined;

/** The descriptor of the terminal behind standard error, for a line that is rewritten; null without a terminal. */
export function terminal(): number | null {
  if (process.stderr.isTTY) return process.stderr.fd;
  return process.env[MARK] === "terminal" ? TERMINAL : null;
}

/** Lines that TensorFlow's C++ code writes when it loads a graph; no setting of its own suppresses them. */
const NOISE = /^(WARNING: All log messages before absl::InitializeLog\(\)|I0000 .*MLIR V1 optimization pass)/;

/**
 * Runs a command in a child process whose standard error is passed on without TensorFlow's noise.
 *
 * @param args the command line, for the child
 * @param command does the work in the child and returns the exit code
 */
export async function withFilteredStderr(
  args: readonly string[],
  command: () => Promise<number>,
): Promise<number> {
  if (hasFilteredStderr()) return command();
  const script = required(process.argv[1], "the path of this program");
  const env = { ...process.env, [MARK]: process.stderr.isTTY ? "terminal" : "no terminal" };
  const stdio: StdioOptions = [
    "inherit",
    "inherit",
    "pipe",
    process.stderr.isTTY ? process.stderr : "ignore",
  ];
  const child = spawn(process.execPath, [script, ...args], { stdio, env });
  if (!child.stderr) throw new Bug("the child's standard error must be a pipe");
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (!NOISE.test(line)) process.stderr.write(`${line}\n`);
  });
  // A terminal sends Ctrl-C to both; the child answers it, and this process only waits.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const isInterruption = signal === "SIGINT" || signal === "SIGTERM" || signal === "SIGHUP";
      resolve(code ?? (isInterruption ? codeOfSignal(signal) : exitCodes.environment));
    });
  });
}
