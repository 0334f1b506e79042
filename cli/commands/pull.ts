import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InvalidInput } from "../../protocol/errors.ts";
import { exitCodes } from "../exit.ts";
import { count } from "../format.ts";
import { writeModel } from "../model-directory.ts";
import { say } from "../say.ts";
import { openExisting } from "../target.ts";

/** `ps-submit pull JOB DIR`: the model as a directory that Hugging Face tools load; all of it or nothing. */
export async function pull(
  job: string,
  directory: string,
  options: { readonly version?: number | undefined },
): Promise<number> {
  const goal = resolve(directory);
  await requireEmpty(goal, directory);
  const target = await openExisting();
  try {
    await target.cloud.jobs.record(job);
    await mkdir(dirname(goal), { recursive: true });
    const aside = await mkdtemp(join(dirname(goal), `.${basename(goal)}-`));
    try {
      const version = await writeModel(target.cloud, job, join(aside, "model"), options.version);
      await rename(join(aside, "model"), goal);
      say([`version ${count(version)} of ${job} is in ${directory}`]);
      return exitCodes.succeeded;
    } finally {
      await rm(aside, { recursive: true, force: true });
    }
  } finally {
    target.close();
  }
}

async function requireEmpty(goal: string, given: string): Promise<void> {
  const code = (error: unknown) => (error as { code?: string }).code;
  const names = await readdir(goal).catch((error: unknown) => {
    if (code(error) === "ENOENT") return [];
    if (code(error) === "ENOTDIR") throw new InvalidInput(`${given} must be a directory, it is a file`);
    throw error;
  });
  if (names.length > 0)
    throw new InvalidInput(`${given} must be empty or not there, it has ${names.length} files`);
}
