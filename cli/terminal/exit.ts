import { InvalidInput } from "../../protocol/errors.ts";
import type { Status } from "../../protocol/records.ts";

/** What the shell gets; `ps-submit --help` documents them. */
export const exitCodes = {
  succeeded: 0,
  failed: 1,
  usage: 2,
  stopped: 3,
  environment: 4,
  interrupted: 130,
} as const;

/** The exit code for a job that has ended. */
export function codeOfStatus(status: Status): number {
  if (status === "failed") return exitCodes.failed;
  return status === "stopped" ? exitCodes.stopped : exitCodes.succeeded;
}

/** The exit code for anything thrown. */
export function codeOfError(error: unknown): number {
  return error instanceof InvalidInput ? exitCodes.usage : exitCodes.environment;
}

/** A shell's convention for a process ended by a signal. */
export function codeOfSignal(signal: "SIGINT" | "SIGTERM" | "SIGHUP"): number {
  return { SIGINT: exitCodes.interrupted, SIGTERM: 143, SIGHUP: 129 }[signal];
}
