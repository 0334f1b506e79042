import { isEnded } from "../../protocol/records.ts";
import { watchAlong } from "../runner/run-to-end.ts";
import { openExisting } from "../targets/target.ts";
import { codeOfStatus } from "../terminal/exit.ts";
import { outcomeLines } from "../terminal/outcome.ts";
import { say } from "../terminal/print.ts";

/** `ps-submit watch JOB`: shows how a job goes that another process runs. */
export async function watch(job: string): Promise<number> {
  const target = await openExisting();
  try {
    const { state } = await target.cloud.jobs.state(job);
    if (!isEnded(state)) return await watchAlong(target, await target.cloud.jobs.record(job));
    say(outcomeLines(state));
    return codeOfStatus(state.status);
  } finally {
    target.close();
  }
}
