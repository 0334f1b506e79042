import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { codeOfSignal, exitCodes } from "./exit.ts";

/** Marks the child in which the work is done. */
const MARK = "PS_QUIETLY";

/** Whether this process is such a child. */
export const isQuiet = (): boolean => process.env[MARK] === "1";

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
  const env = { ...process.env, [MARK]: "1" };
  const child = spawn(process.execPath, [script, ...args], { stdio: ["inherit", "inherit", "pipe"], env });
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
