import { join, resolve } from "node:path";
import { draftsIn, fillDirectory, requireEmpty } from "../models/fill-directory.ts";
import { writeModel } from "../models/model-directory.ts";
import { openExisting } from "../targets/locate.ts";
import type { Target } from "../targets/target.ts";
import { codeOfSignal, exitCodes } from "../terminal/exit.ts";
import { count } from "../terminal/format.ts";
import { listenForInterruption } from "../terminal/interruption.ts";
import { print } from "../terminal/print.ts";

/** `ps-submit pull JOB DIR`: writes the model as a directory that Hugging Face tools load; all of it or nothing. */
export async function pull(
  target: Target,
  job: string,
  directory: string,
  options: { readonly version?: number | undefined },
): Promise<number> {
  const goal = resolve(directory);
  await requireEmpty(goal);
  const opened = await openExisting(target);
  const interruption = listenForInterruption();
  try {
    await opened.cloud.jobs.record(job);
    const version = await fillDirectory(goal, "config.json", (draft) =>
      writeModel(opened.cloud, job, draft, { ...options, signal: interruption.first }),
    );
    print([`version ${count(version)} of ${job} is in ${directory}`]);
    await noteDrafts(goal);
    return exitCodes.succeeded;
  } catch (error) {
    const signal = interruption.received();
    if (signal === null) throw error;
    return codeOfSignal(signal);
  } finally {
    interruption.close();
    opened.close();
  }
}

async function noteDrafts(goal: string): Promise<void> {
  for (const draft of await draftsIn(goal)) {
    process.stderr.write(`note: remove ${join(goal, draft)}, unless another pull still writes to it\n`);
  }
}
