import { isEnded } from "../../protocol/records.ts";
import { codeOfStatus } from "../exit.ts";
import { outcomeLines } from "../outcome.ts";
import { say } from "../say.ts";
import { watchAlong } from "../take-up.ts";
import { openExisting } from "../target.ts";

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
