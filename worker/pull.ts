import type { Cloud } from "../cloud/connect.ts";
import { bytesOf, sha256 } from "../protocol/digest.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import { describeShard, parameterBytes } from "../protocol/shard.ts";

/**
 * theta = the parameters of every shard of a version, fetched side by side, each straight into its place.
 *
 * @param theta is filled in; as long as the layout's vector
 * @returns false when the version is not there: it was removed, because its step is long done
 * @throws CorruptData when a shard is truncated or does not match the manifest
 */
export async function pull(
  { store, jobs }: Cloud,
  job: string,
  layout: Layout,
  version: number,
  theta: Float32Array,
): Promise<boolean> {
  const parts = layout.shards.map(({ start, end }) => bytesOf(theta.subarray(start, end)));
  const [manifest, ...found] = await Promise.all([
    jobs.manifest(job, version),
    ...parts.map((part, shard) =>
      store.getInto(keys.shard(job, version, shard), parameterBytes(layout, shard).start, part),
    ),
  ]);
  if (!manifest || found.includes(false)) return false;
  for (const [shard, part] of parts.entries()) {
    if (sha256(part) !== manifest.shards[shard]?.parameters) {
      throw new CorruptData(`${describeShard(shard, version)} is corrupt: it does not match its manifest`);
    }
  }
  return true;
}
