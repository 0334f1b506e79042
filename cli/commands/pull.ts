import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Cloud } from "../../cloud/connect.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { makeFolder } from "../../protocol/make-folder.ts";
import { type WriteOptions, writeModel } from "../models/model-directory.ts";
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
  await requireEmpty(goal, directory);
  const opened = await openExisting(target);
  const interruption = listenForInterruption();
  try {
    await opened.cloud.jobs.record(job);
    const version = await writeAside(opened.cloud, job, goal, { ...options, signal: interruption.first });
    print([`version ${count(version)} of ${job} is in ${directory}`]);
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

/** Writes into a folder beside the goal, and renames it once it is whole. Returns the version. */
async function writeAside(cloud: Cloud, job: string, goal: string, options: WriteOptions): Promise<number> {
  makeFolder(dirname(goal), 0o777);
  const aside = await mkdtemp(join(dirname(goal), `.${basename(goal)}-`));
  try {
    const version = await writeModel(cloud, job, join(aside, "model"), options);
    await rename(join(aside, "model"), goal);
    return version;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

async function requireEmpty(goal: string, given: string): Promise<void> {
  const names = await readdir(goal).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") throw new InvalidInput(`${given} must be a directory, it is a file`);
    throw error;
  });
  if (names.length > 0)
    throw new InvalidInput(`${given} must be empty or not there, it has ${names.length} files`);
}
