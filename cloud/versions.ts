import { chainOf, describe } from "../protocol/errors.ts";
import { keys, numberIn, stepOf } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import type { Cloud } from "./connect.ts";
import { DamagedObject } from "./damage.ts";
import { log } from "./log.ts";

/** Returns the first object of a version that is not there, and must be; null when all are. */
async function missingObject(
  { store }: Cloud,
  job: string,
  version: number,
  { shards }: Pick<Layout, "shards">,
): Promise<string | null> {
  const there = new Set((await store.list(keys.version(job, version))).map(({ key }) => key));
  const needed = [keys.manifest(job, version), ...shards.map((_, shard) => keys.shard(job, version, shard))];
  return needed.find((key) => !there.has(key)) ?? null;
}

/**
 * Checks that a version which the job's state has reached is there.
 *
 * @returns false for one that the state has not reached: a resume went back from it
 * @throws DamagedObject, which names both, when the state names a version that is not there
 */
export async function requireVersion(cloud: Cloud, job: string, version: number): Promise<boolean> {
  const [layout, { state }] = await Promise.all([cloud.jobs.layout(job), cloud.jobs.state(job)]);
  if (!layout || state.version === null || state.version < version) return false;
  const missing = state.version === version ? await missingObject(cloud, job, version, layout) : null;
  if (missing === null) return true;
  throw new DamagedObject(
    missing,
    `${keys.state(job)} says that ${job} is at version ${version}, but ${missing} is not there`,
  );
}

/** The text of an error as a job's reason. For a damaged or missing object of a version, it says how to go on. */
export async function reasonOf(cloud: Cloud, error: unknown): Promise<string> {
  const damaged = chainOf(error).find((link) => link instanceof DamagedObject);
  const text = describe(error);
  const step = damaged === undefined ? null : stepOf(damaged.key);
  if (step === null) return text;
  try {
    return `${text}; ${await wayOn(cloud, step)}`;
  } catch (also) {
    log.warn("no advice", { error: also });
    return text;
  }
}

async function wayOn(
  cloud: Cloud,
  { job, step, kind }: NonNullable<ReturnType<typeof stepOf>>,
): Promise<string> {
  // A step's gradients are computed anew from its version.
  const last = kind === "gradients" ? step : step - 1;
  const whole = await lastWhole(cloud, job, last);
  if (whole === null) return `${job} has no whole version before it: submit it again under another name`;
  return `version ${whole} is there; go on from it with: ps-submit resume ${job} --from ${whole}`;
}

/** Returns the latest version up to `last` of which all objects are there; null when there is none. */
async function lastWhole(cloud: Cloud, job: string, last: number): Promise<number | null> {
  const layout = await cloud.jobs.layout(job);
  if (!layout) return null;
  const versions = (await cloud.store.listFolders(keys.versions(job))).map(numberIn);
  for (const version of versions.filter((version) => version <= last).reverse()) {
    if ((await missingObject(cloud, job, version, layout)) === null) return version;
  }
  return null;
}
