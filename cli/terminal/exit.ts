import { InvalidInput } from "../../protocol/errors.ts";
import type { Status } from "../../protocol/records.ts";

/** The exit codes that `ps-submit --help` documents. */
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

/** The exit code for a process that a signal ended, by the shells' convention. */
export function codeOfSignal(signal: "SIGINT" | "SIGTERM" | "SIGHUP"): number {
  return { SIGINT: exitCodes.interrupted, SIGTERM: 143, SIGHUP: 129 }[signal];
}
