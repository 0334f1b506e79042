import type { Cloud } from "../cloud/connect.ts";
import { bytesOf, requireDigest } from "../protocol/digest.ts";
import { keys } from "../protocol/keys.ts";
import type { Layout } from "../protocol/layout.ts";
import { at } from "../protocol/required.ts";
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
 * @throws DamagedObject when a shard is truncated or does not match the manifest
 */
export async function pull(
  { store, jobs }: Cloud,
  { job, version, layout, theta }: PullOptions,
): Promise<boolean> {
  const ranges = layout.shards.map(({ start, end }) => bytesOf(theta.subarray(start, end)));
  const asked = jobs.manifest(job, version);
  const check = async (range: Uint8Array, shard: number) => {
    const manifest = await asked;
    if (!manifest) return;
    const what = describeShard(shard, version);
    const { parameters } = at(manifest.shards, shard, `${what} in ${keys.manifest(job, version)}`);
    requireDigest(range, parameters, what);
  };
  const [manifest, ...read] = await Promise.all([
    asked,
    ...ranges.map((range, shard) =>
      store.getInto(keys.shard(job, version, shard), parameterBytes(layout, shard).start, range, {
        check: () => check(range, shard),
      }),
    ),
  ]);
  return manifest !== null && !read.includes(false);
}
