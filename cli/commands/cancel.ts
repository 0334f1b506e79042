import { openExisting } from "../targets/locate.ts";
import type { Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";

/** `ps-submit cancel JOB`: ends a job; the version it has reached stays. */
export async function cancel(target: Target, job: string): Promise<number> {
  const opened = await openExisting(target);
  try {
    const { state } = await opened.cloud.jobs.state(job);
    await opened.cancel(state);
    return exitCodes.succeeded;
  } finally {
    opened.close();
  }
}
