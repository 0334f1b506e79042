import type { Cloud } from "../../cloud/connect.ts";
import { DamagedObject } from "../../cloud/damage.ts";
import { reasonOf } from "../../cloud/versions.ts";
import { bytesOf, requireDigest } from "../../protocol/digest.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { keys, numberIn } from "../../protocol/keys.ts";
import { slotsOf } from "../../protocol/optimizer-spec.ts";
import { HISTORY_BLOCK, isEnded, type Manifest, type State } from "../../protocol/records.ts";
import { at } from "../../protocol/required.ts";
import { describeShard, openShard } from "../../protocol/shard.ts";

/**
 * Takes a job that has ended back to an earlier version, from which it can be resumed: removes all that was made after
 * it, then changes the state. Removed first, since a later version that stayed would be taken for the next one. A crash
 * in between leaves a state that names a version which is not there, of which a resume says so; going back can be
 * done again.
 *
 * @throws InvalidInput when the job has not ended, or has no such version; DamagedObject when that is damaged itself
 */
export async function goBack(cloud: Cloud, job: string, version: number): Promise<State> {
  const { state } = await cloud.jobs.state(job);
  if (!isEnded(state))
    throw new InvalidInput(`${job} is ${state.status}; --from takes a job that has ended: cancel it`);
  const manifest = await requireWhole(cloud, job, version).catch(async (error: unknown) => {
    if (!(error instanceof DamagedObject)) throw error;
    throw new DamagedObject(error.key, await reasonOf(cloud, error));
  });
  await removeAfter(cloud, job, version);
  const upTo = <T extends { readonly version: number }>(result: T | null) =>
    result !== null && result.version <= version ? result : null;
  return cloud.jobs.change(job, (current) =>
    isEnded(current) && current.attempt === state.attempt
      ? {
          ...current,
          status: "stopped",
          reason: `it went back to version ${version}`,
          version,
          loss: manifest.loss,
          evaluation: upTo(current.evaluation),
          checkpoint: upTo(current.checkpoint),
        }
      : null,
  );
}

/** Reads a whole version, a shard at a time, and checks it against its digests and its manifest. */
async function requireWhole(cloud: Cloud, job: string, version: number): Promise<Manifest> {
  const { store, jobs } = cloud;
  const [{ spec }, layout, manifest] = await Promise.all([
    jobs.record(job),
    jobs.layout(job),
    jobs.manifest(job, version),
  ]);
  if (!layout || !manifest) throw await noSuchVersion(cloud, job, version);
  const slots = slotsOf(spec.optimizer);
  for (const shard of layout.shards.keys()) {
    const key = keys.shard(job, version, shard);
    const { parameters } = at(manifest.shards, shard, `shard ${shard} in ${keys.manifest(job, version)}`);
    const open = (body: Uint8Array) => {
      const opened = openShard(layout, shard, version, slots, body);
      requireDigest(bytesOf(opened.parameters), parameters, describeShard(shard, version));
      return opened;
    };
    if (!(await store.getAs(key, open)))
      throw new DamagedObject(key, `${key} is not there: version ${version} is not whole`);
  }
  return manifest;
}

async function noSuchVersion({ store }: Cloud, job: string, version: number): Promise<InvalidInput> {
  const versions = (await store.listFolders(keys.versions(job))).map(numberIn);
  return new InvalidInput(`${job} has no version ${version}; it has ${versions.join(", ") || "none"}`);
}

/** Removes what was made from a version on: later versions first of all, the last one first. */
async function removeAfter({ store }: Cloud, job: string, version: number): Promise<void> {
  const folders = async (prefix: string, first: number) =>
    (await store.listFolders(prefix)).filter((folder) => numberIn(folder) >= first).reverse();
  const objects = async (prefix: string, first: number) =>
    (await store.list(prefix)).map(({ key }) => key).filter((key) => numberIn(key) >= first);
  for (const folder of await folders(keys.versions(job), version + 1)) await store.removeAll(folder);
  for (const folder of await folders(keys.checkpoints(job), version + 1)) await store.removeAll(folder);
  for (const folder of await folders(keys.gradients(job), version)) await store.removeAll(folder);
  await store.remove(await objects(keys.evaluations(job), version + 1));
  // Block b ends with version (b + 1) * HISTORY_BLOCK.
  await store.remove(await objects(keys.histories(job), Math.floor(version / HISTORY_BLOCK)));
}
