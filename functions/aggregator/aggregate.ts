import { wakeCoordinator } from "../../cloud/wake.ts";
import { BadGradient, TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { decayRanges, type Layout, lengthOf, tensorAt } from "../../protocol/layout.ts";
import type { GradientMessage } from "../../protocol/messages.ts";
import { slotsOf } from "../../protocol/optimizer-spec.ts";
import type { Piece } from "../../protocol/piece.ts";
import { isEnded, type JobRecord, type State } from "../../protocol/records.ts";
import { blankShard, openShard, rangeOf, type Shard, sealShard } from "../../protocol/shard.ts";
import { aggregationBytes } from "../../protocol/shard-count.ts";
import type { Server } from "../server.ts";
import { collectPieces, type ShardStep } from "./collect.ts";
import { stepShard } from "./optimizer.ts";
import { firstNonFinite } from "./reduce.ts";

/**
 * The aggregator of one shard. When all ranks' pieces of a step are there: sum them in rank order, apply the
 * optimizer, create the shard's next version, once; when that completes the version, wake the coordinator.
 *
 * @param messages of one shard, in the order they came; when this returns, their effect is in S3
 */
export async function aggregate(server: Server, messages: readonly GradientMessage[]): Promise<void> {
  const bySteps = Map.groupBy(messages, (message) => message.step);
  for (const [step, arrivals] of [...bySteps].sort(([a], [b]) => a - b)) {
    const [{ job, shard } = notEmpty()] = arrivals;
    await aggregateStep(server, { job, shard, step }, arrivals);
  }
}

async function aggregateStep(
  server: Server,
  at: ShardStep,
  arrivals: readonly GradientMessage[],
): Promise<void> {
  const { jobs } = server.cloud;
  const [record, layout, { state }] = await Promise.all([
    jobs.record(at.job),
    jobs.layout(at.job),
    jobs.state(at.job),
  ]);
  if (!layout) throw new TryAgain(`${keys.layout(at.job)} is not there yet`);
  // A late duplicate: its step committed long ago, and what it made may have been removed since. Or the job has
  // ended, and a resume hands its step out anew.
  if (isEnded(state) || at.step < (state.version ?? 0)) return;

  const made = await server.memory.pass(bytesOf(at, record, layout), async () => {
    if (await isCommitted(server, at)) return true;
    const pieces = await collectPieces(server, at, record.spec.ranks, layout, arrivals);
    if (pieces) await commitStep(server, at, record, layout, pieces);
    return pieces !== null;
  });
  if (!made) return;
  if (await isComplete(server, at, layout)) await wake(server, at, state);
  server.pieces.forget(at.job, at.step, at.shard, record.spec.ranks);
}

const bytesOf = ({ shard }: ShardStep, { spec }: JobRecord, layout: Layout): number =>
  aggregationBytes(lengthOf(rangeOf(layout, shard)), spec.ranks, spec.optimizer);

/**
 * Whether the shard's next version is there: the pieces are in S3 before their messages come, so the first messages
 * may have made it, and the others need not sum all pieces again. A container that made the present version takes it
 * that it will make the next one; should another have been quicker, its commit changes nothing.
 */
async function isCommitted({ cloud, shards }: Server, { job, shard, step }: ShardStep): Promise<boolean> {
  if (shards.get(job, shard, step + 1)) return true;
  if (shards.get(job, shard, step)) return false;
  return cloud.store.getInto(keys.shard(job, step + 1, shard), 0, new Uint8Array(1));
}

/** Makes version step + 1 of the shard. The PUT is the commit; if it is there already, this changes nothing. */
async function commitStep(
  server: Server,
  { job, shard, step }: ShardStep,
  { spec }: JobRecord,
  layout: Layout,
  pieces: readonly Piece[],
): Promise<void> {
  const slots = slotsOf(spec.optimizer);
  const current = await loadShard(server, layout, { job, shard, step }, slots);
  const started = performance.now();
  const next = blankShard(layout, shard, step + 1, slots);
  stepShard({
    optimizer: spec.optimizer,
    step,
    gradients: pieces.map((piece) => piece.gradient),
    reduce: spec.reduce,
    decaying: decayRanges(layout, rangeOf(layout, shard)),
    current,
    next,
  });
  checkUpdate(layout, shard, step, next);
  const origin = pieces.map(({ digest, report }) => ({ digest, ...report }));
  const file = sealShard(layout, next, slots, origin, performance.now() - started);
  const created = await server.cloud.store.create(keys.shard(job, step + 1, shard), file);
  // When someone else's was first, the stored bytes are the truth: let the next step read them.
  if (created === "created") server.shards.set(job, next);
}

/** Finite gradients can still add up to what no float32 holds; such a version must not come to be. */
function checkUpdate(layout: Layout, shard: number, step: number, next: Shard): void {
  const bad = firstNonFinite(next.parameters);
  if (bad < 0) return;
  const tensor = tensorAt(layout, rangeOf(layout, shard).start + bad)?.name ?? "?";
  throw new BadGradient(
    `step ${step}: the update of ${tensor} is not finite (${next.parameters[bad]}); ` +
      "lower optimizer.learningRate or set optimizer.clipNorm",
  );
}

async function loadShard(
  { cloud, shards }: Server,
  layout: Layout,
  { job, shard, step }: ShardStep,
  slots: readonly string[],
): Promise<Shard> {
  const cached = shards.get(job, shard, step);
  if (cached) return cached;
  const key = keys.shard(job, step, shard);
  const stored = await cloud.store.get(key);
  if (!stored) throw new TryAgain(`${key} is not there`);
  return openShard(layout, shard, step, slots, stored.body);
}

/** Every aggregator asks after its own commit, so the last one to commit sees all shards. */
async function isComplete({ cloud }: Server, { job, step }: ShardStep, layout: Layout): Promise<boolean> {
  if (layout.shards.length === 1) return true;
  const listed = await cloud.store.list(`${keys.version(job, step + 1)}shard-`);
  return listed.length === layout.shards.length;
}

async function wake({ cloud }: Server, { job, step }: ShardStep, { attempt }: State): Promise<void> {
  await wakeCoordinator(cloud, job, `version-${step + 1}-${attempt}`);
}

function notEmpty(): never {
  throw new TypeError("a group of messages is never empty");
}
