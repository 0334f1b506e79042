import type { Cloud } from "../../cloud/connect.ts";
import { log } from "../../cloud/log.ts";
import type { JobSpec } from "../../protocol/job.ts";
import { keys } from "../../protocol/keys.ts";
import type { Layout } from "../../protocol/layout.ts";
import { HISTORY_BLOCK, type Manifest, type Metrics } from "../../protocol/records.ts";
import { at, required } from "../../protocol/required.ts";
import { learningRateAt } from "../../protocol/schedule.ts";
import { readShardHeader, type ShardHeader } from "../../protocol/shard.ts";

/** Reads the headers of all shards of a version. Returns null while some shard is not there. */
export async function readHeaders(
  { store }: Cloud,
  job: string,
  version: number,
  layout: Layout,
): Promise<ShardHeader[] | null> {
  const headers = await Promise.all(
    layout.shards.map(async (_, shard) => {
      const bytes = new Uint8Array(layout.headerBytes);
      const found: ShardHeader[] = [];
      const check = () => void found.push(readShardHeader(layout, shard, version, bytes));
      await store.getInto(keys.shard(job, version, shard), 0, bytes, { check });
      return found.at(-1) ?? null;
    }),
  );
  return headers.every((header) => header !== null) ? headers : null;
}

/**
 * Writes the manifest of a version whose shards are all there, once: from then on the version exists.
 *
 * @returns the manifest that is stored: another coordinator may have been first
 */
export async function commitVersion(
  cloud: Cloud,
  spec: JobSpec,
  version: number,
  headers: readonly ShardHeader[],
): Promise<Manifest> {
  const { name: job } = spec;
  const parent =
    version === 0
      ? null
      : required(await cloud.jobs.manifest(job, version - 1), keys.manifest(job, version - 1));
  const committed = await cloud.jobs.createManifest(makeManifest(spec, version, parent, headers, new Date()));
  log.debug("version committed", { version, loss: committed.loss });
  if (version > 0 && version % HISTORY_BLOCK === 0) await writeHistory(cloud, job, committed);
  return committed;
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
  const stepMetrics = measureStep(spec, version, headers, now.getTime() - Date.parse(parent.createdAt));
  const data = {
    step: version,
    sequences: parent.data.sequences + spec.ranks * spec.batch * spec.accumulation,
    tokens: parent.data.tokens + stepMetrics.tokens,
  };
  // A full block is in history/ and is not repeated.
  const earlier = parent.version % HISTORY_BLOCK === 0 ? [] : parent.metrics;
  return {
    ...made,
    parent: parent.version,
    loss: stepMetrics.loss,
    data,
    metrics: [...earlier, stepMetrics],
  };
}

function measureStep(
  spec: JobSpec,
  version: number,
  headers: readonly ShardHeader[],
  stepMs: number,
): Metrics {
  const ranks = at(headers, 0, "the header of a shard").origin;
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
