import { InvalidInput } from "../../protocol/errors.ts";
import { isEnded } from "../../protocol/records.ts";
import { commandFor } from "../targets/address.ts";
import { openExisting } from "../targets/locate.ts";
import type { Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";

/** `ps-submit workers JOB N`: more or fewer workers for a job that runs. */
export async function workers(target: Target, job: string, wanted: number): Promise<number> {
  const opened = await openExisting(target);
  try {
    const { state } = await opened.cloud.jobs.state(job);
    if (isEnded(state)) {
      const resume = commandFor(target.address, `resume ${job} --workers ${wanted}`);
      throw new InvalidInput(`${job} has ended; resume it with: ${resume}`);
    }
    await opened.resize(state, wanted);
    return exitCodes.succeeded;
  } finally {
    opened.close();
  }
}
