import { spawn } from "node:child_process";
import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { tailOf } from "../../local/log-tail.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { commandFor, type TargetAddress } from "../targets/address.ts";
import { logDirectory, program } from "../targets/paths.ts";
import { exitCodes } from "../terminal/exit.ts";
import { print } from "../terminal/print.ts";

const BACKGROUND = "PS_DETACHED";

/** True in a process that `--detach` started. */
export const isInBackground = (): boolean => process.env[BACKGROUND] === "1";

/** Tells the command that started this process in the background that the job is under way. */
export function reportUnderWay(): void {
  if (isInBackground()) process.send?.("under way", () => process.disconnect?.());
}

type Background = {
  readonly address: TargetAddress;
  /** The folder of logs. */
  readonly home: string;
  readonly job: string;
  /** The arguments of this command. */
  readonly args: readonly string[];
};

/**
 * Runs this command again without `--detach`, in a process that stays, and waits until its job is under way. Returns
 * the exit code.
 */
export async function runInBackground({ address, home, job, args }: Background): Promise<number> {
  const directory = logDirectory(home, job);
  makeFolder(directory);
  const log = join(directory, "runner.log");
  const output = openSync(log, "a", 0o600);
  const start = statSync(log).size;
  const code = await startAgain(args, output);
  if (code !== null) {
    // It ended before its job was under way, and printed why.
    (code === exitCodes.succeeded ? process.stdout : process.stderr).write(tailOf(log, start));
    return code;
  }
  print([
    `${job} runs in the background, with its output in ${log}`,
    `watch it with: ${commandFor(address, `watch ${job}`)}, end it with: ${commandFor(address, `cancel ${job}`)}`,
  ]);
  return exitCodes.succeeded;
}

/** Returns null once the job is under way, or the exit code of a process that ended before that. */
async function startAgain(args: readonly string[], output: number): Promise<number | null> {
  const child = spawn(process.execPath, [program("ps-submit"), ...args.filter((arg) => arg !== "--detach")], {
    detached: true,
    env: { ...process.env, [BACKGROUND]: "1" },
    stdio: ["ignore", output, output, "ipc"],
  });
  closeSync(output);
  const code = await new Promise<number | null>((resolve) => {
    child.once("message", () => resolve(null));
    child.once("error", () => resolve(exitCodes.environment));
    child.once("exit", (status) => resolve(status ?? exitCodes.environment));
  });
  child.unref();
  if (child.connected) child.disconnect();
  return code;
}
