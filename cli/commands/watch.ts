import { isEnded } from "../../protocol/records.ts";
import { watchUntilEnded } from "../runner/watch-job.ts";
import { openExisting } from "../targets/locate.ts";
import type { Target } from "../targets/target.ts";
import { codeOfStatus } from "../terminal/exit.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { print } from "../terminal/print.ts";

/** `ps-submit watch JOB`: shows the progress of a job that runs in another process. */
export async function watch(target: Target, job: string): Promise<number> {
  const opened = await openExisting(target);
  try {
    const { state } = await opened.cloud.jobs.state(job);
    if (!isEnded(state)) return await watchUntilEnded(opened, await opened.cloud.jobs.record(job));
    print(outcomeLines(state, target.address));
    return codeOfStatus(state.status);
  } finally {
    opened.close();
  }
}
