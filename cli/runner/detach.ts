import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { tailOf } from "../../local/log-tail.ts";
import { usersAws } from "../targets/address.ts";
import { logDirectory, program } from "../targets/paths.ts";
import { exitCodes } from "../terminal/exit.ts";

const DETACHED = "PS_DETACHED";

/** Whether this process is a runner that `--detach` started. */
export const isDetached = (): boolean => process.env[DETACHED] === "1";

/** Tells the command that started this runner that the job is under way. */
export function reportUnderWay(): void {
  if (isDetached()) process.send?.("under way", () => process.disconnect?.());
}

export type Detached = {
  readonly log: string;
  /** Null: the job is under way. Else the runner has ended already, with this code. */
  readonly code: number | null;
  /** What the runner printed until then, or the end of that. */
  readonly said: string;
};

/** Runs the same command again without `--detach`, in a process that lives on, and waits until its job is under way. */
export async function detach(home: string, job: string, args: readonly string[]): Promise<Detached> {
  const directory = logDirectory(home, job);
  mkdirSync(directory, { recursive: true });
  const log = join(directory, "runner.log");
  const output = openSync(log, "a");
  const start = statSync(log).size;
  const child = spawn(process.execPath, [program("ps-submit"), ...args.filter((arg) => arg !== "--detach")], {
    detached: true,
    env: { ...usersAws(), ...process.env, [DETACHED]: "1" },
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
  return { log, code, said: code === null ? "" : tailOf(log, start) };
}
