import type { LogOptions, Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";

/** `ps-submit logs JOB [PROCESS]`: prints what the job's processes wrote; with `--follow`, until the job has ended. */
export async function logs(target: Target, job: string, options: LogOptions): Promise<number> {
  await target.printLogs(job, options);
  return exitCodes.succeeded;
}
