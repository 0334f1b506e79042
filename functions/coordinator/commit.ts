import type { Cloud } from "../../cloud/connect.ts";
import { CorruptData } from "../../protocol/errors.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { Layout } from "../../protocol/layout.ts";
import { HISTORY_BLOCK, type Manifest, type Metrics } from "../../protocol/records.ts";
import { learningRateAt } from "../../protocol/schedule.ts";
import { readShardHeader, type ShardHeader } from "../../protocol/shard.ts";

/** The headers of all shards of a version, or null while some shard is not there. */
export async function readHeaders(
  { store }: Cloud,
  job: string,
  version: number,
  layout: Layout,
): Promise<ShardHeader[] | null> {
  const headers = await Promise.all(
    layout.shards.map(async (_, shard) => {
      const bytes = new Uint8Array(layout.headerBytes);
      const there = await store.getInto(keys.shard(job, version, shard), 0, bytes);
      return there ? readShardHeader(layout, shard, version, bytes) : null;
    }),
  );
  return headers.every((header) => header !== null) ? headers : null;
}

/**
 * Writes the manifest of a version whose shards are all there: from then on the version exists. Once; when another
 * coordinator wrote it first, that one stands.
 */
export async function commitVersion(
  cloud: Cloud,
  spec: JobSpec,
  version: number,
  headers: readonly ShardHeader[],
): Promise<Manifest> {
  const { name: job } = spec;
  const parent = version === 0 ? null : await manifestOf(cloud, job, version - 1);
  const committed = await cloud.jobs.createManifest(makeManifest(spec, version, parent, headers, new Date()));
  if (version > 0 && version % HISTORY_BLOCK === 0) await writeHistory(cloud, job, committed);
  return committed;
}

async function manifestOf({ jobs }: Cloud, job: string, version: number): Promise<Manifest> {
  const manifest = await jobs.manifest(job, version);
  if (!manifest) throw new CorruptData(`${keys.manifest(job, version)} is missing`);
  return manifest;
}

async function writeHistory({ store }: Cloud, job: string, { version, metrics }: Manifest): Promise<void> {
  const lines = metrics.map((line) => `${JSON.stringify(line)}\n`).join("");
  await store.create(keys.history(job, version / HISTORY_BLOCK - 1), new TextEncoder().encode(lines));
}

/** @param headers of the version's shards, in shard order */
function makeManifest(
  spec: JobSpec,
  version: number,
  parent: Manifest | null,
  headers: readonly ShardHeader[],
  now: Date,
): Manifest {
  const shards = headers.map(({ parameters, origin }) => ({
    parameters,
    gradients: origin.map((piece) => piece.digest),
  }));
  const made = { job: spec.name, version, createdAt: now.toISOString(), shards };
  if (!parent) {
    return { ...made, parent: null, loss: null, data: { step: 0, sequences: 0, tokens: 0 }, metrics: [] };
  }
  const line = measure(spec, version, headers, now.getTime() - Date.parse(parent.createdAt));
  const data = {
    step: version,
    sequences: parent.data.sequences + spec.ranks * spec.batch * spec.accumulation,
    tokens: parent.data.tokens + line.tokens,
  };
  // A block that is full is in history/ and need not be carried on.
  const earlier = parent.version % HISTORY_BLOCK === 0 ? [] : parent.metrics;
  return { ...made, parent: parent.version, loss: line.loss, data, metrics: [...earlier, line] };
}

function measure(spec: JobSpec, version: number, headers: readonly ShardHeader[], stepMs: number): Metrics {
  const ranks = headers[0]?.origin ?? [];
  const slowest = (field: "pullMs" | "computeMs" | "pushMs") =>
    Math.max(...headers.flatMap(({ origin }) => origin.map((rank) => rank[field])));
  return {
    version,
    loss: ranks.reduce((sum, rank) => sum + rank.loss, 0) / ranks.length,
    learningRate: learningRateAt(spec.optimizer, version - 1),
    tokens: ranks.reduce((sum, rank) => sum + rank.tokens, 0),
    pullMs: slowest("pullMs"),
    computeMs: slowest("computeMs"),
    pushMs: slowest("pushMs"),
    aggregateMs: Math.max(...headers.map((header) => header.aggregateMs)),
    stepMs: Math.max(0, stepMs),
    workers: [...new Set(ranks.map((rank) => rank.worker))].sort(),
  };
}
