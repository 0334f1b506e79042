import type { Cloud } from "../cloud/connect.ts";
import { bytesOf, sha256 } from "../protocol/digest.ts";
import { CorruptData } from "../protocol/errors.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import { describeShard, parameterBytes } from "../protocol/shard.ts";

export type PullOptions = {
  readonly job: string;
  readonly version: number;
  readonly layout: Layout;
  /** Is filled in; as long as the layout's vector. */
  readonly theta: Float32Array;
};

/**
 * Pulls the parameters of every shard of a version, side by side, each straight into its range of theta.
 *
 * @returns false when the version is not there: it was removed, because its step is long done
 * @throws CorruptData when a shard is truncated or does not match the manifest
 */
export async function pull(
  { store, jobs }: Cloud,
  { job, version, layout, theta }: PullOptions,
): Promise<boolean> {
  const ranges = layout.shards.map(({ start, end }) => bytesOf(theta.subarray(start, end)));
  const [manifest, ...read] = await Promise.all([
    jobs.manifest(job, version),
    ...ranges.map((range, shard) =>
      store.getInto(keys.shard(job, version, shard), parameterBytes(layout, shard).start, range),
    ),
  ]);
  if (!manifest || read.includes(false)) return false;
  for (const [shard, range] of ranges.entries()) {
    if (sha256(range) !== manifest.shards[shard]?.parameters) {
      throw new CorruptData(`${describeShard(shard, version)} is corrupt: it does not match its manifest`);
    }
  }
  return true;
}
