import { log, withLogFields } from "../../cloud/log.ts";
import { requireVersion } from "../../cloud/versions.ts";
import { wakeCoordinator } from "../../cloud/wake.ts";
import { BadGradient, TryAgain } from "../../protocol/errors.ts";
import { keys } from "../../protocol/keys.ts";
import { decayRanges, lengthOf } from "../../protocol/layout.ts";
import type { GradientMessage } from "../../protocol/messages.ts";
import { slotsOf } from "../../protocol/optimizer-spec.ts";
import type { Piece } from "../../protocol/piece.ts";
import { isEnded, type State } from "../../protocol/records.ts";
import { at } from "../../protocol/required.ts";
import { blankShard, openShard, rangeOf, type Shard, sealShard } from "../../protocol/shard.ts";
import { aggregationBytes } from "../../protocol/shard-count.ts";
import type { Server } from "../server.ts";
import { collectPieces } from "./collect.ts";
import { stepShard } from "./optimizer.ts";
import { firstNonFinite } from "./reduce.ts";
import { NOT_FINITE_ADVICE, parameterAt, type ShardStep } from "./shard-step.ts";

/**
 * The aggregator of one shard. When all ranks' pieces of a step are there: sum them in rank order, apply the
 * optimizer, create the shard's next version, once; when that completes the version, wake the coordinator.
 *
 * @param messages of one shard, in the order they came; when this returns, their effect is in S3
 */
export async function aggregate(server: Server, messages: readonly GradientMessage[]): Promise<void> {
  const bySteps = Map.groupBy(messages, (message) => message.step);
  for (const [step, ofStep] of [...bySteps].sort(([a], [b]) => a - b)) {
    await withLogFields({ step }, () => aggregateStep(server, step, ofStep));
  }
}

async function aggregateStep(
  server: Server,
  step: number,
  messages: readonly GradientMessage[],
): Promise<void> {
  const { job, shard } = at(messages, 0, "the first message of a step");
  const { spec, layout, state } = await readJob(server, job);
  // A late duplicate: its step committed long ago, and what it made may have been removed since. Or the job has
  // ended, and a resume redispatches its step.
  if (isEnded(state) || step < (state.version ?? 0)) return;
  // From before a resume that went back: the step will be dispatched again. A step's tasks are sent just before the
  // state has its version.
  if (step > (state.version ?? 0) + 1) return;

  const shardStep: ShardStep = { job, shard, step, spec, layout, attempt: state.attempt };
  const isMade = await server.memory.pass(bytesToHold(shardStep), async () => {
    if (await isCommitted(server, shardStep)) return true;
    const pieces = await collectPieces(server, shardStep, messages);
    if (pieces === null) return false;
    return commitStep(server, shardStep, pieces);
  });
  if (!isMade) return;
  if (await isVersionComplete(server, shardStep)) await wake(server, shardStep, state);
  server.pieces.forget(job, step, shard, spec.ranks);
}

async function readJob({ cloud: { jobs } }: Server, job: string) {
  const [{ spec }, layout, { state }] = await Promise.all([
    jobs.record(job),
    jobs.layout(job),
    jobs.state(job),
  ]);
  if (!layout) throw new TryAgain(`${keys.layout(job)} is not there yet`);
  return { spec, layout, state };
}

const bytesToHold = ({ shard, spec, layout }: ShardStep): number =>
  aggregationBytes(lengthOf(rangeOf(layout, shard)), spec.ranks, spec.optimizer);

/**
 * True when the shard's next version is there: the pieces are in S3 before their messages come, so the first messages
 * may have made it, and the others need not sum all pieces again. A container that made the present version expects to
 * make the next one too and does not ask S3; if another was faster, its commit changes nothing.
 */
async function isCommitted({ cloud, shards }: Server, shardStep: ShardStep): Promise<boolean> {
  const { job, shard, step } = shardStep;
  if (shards.get(shardStep, step + 1)) return true;
  if (shards.get(shardStep, step)) return false;
  return cloud.store.getInto(keys.shard(job, step + 1, shard), 0, new Uint8Array(1));
}

/**
 * Makes version step + 1 of the shard. The PUT is the commit; if it is there already, this changes nothing.
 *
 * @returns false when the job is not at this step: a resume went back from it
 */
async function commitStep(server: Server, shardStep: ShardStep, pieces: readonly Piece[]): Promise<boolean> {
  const { job, shard, step, spec, layout } = shardStep;
  const slots = slotsOf(spec.optimizer);
  const current = await loadShard(server, shardStep, slots);
  if (current === null) return false;
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
  checkFinite(shardStep, next);
  const origin = pieces.map(({ digest, report }) => ({ digest, ...report }));
  const aggregateMs = performance.now() - started;
  const file = sealShard(layout, next, slots, origin, aggregateMs);
  const created = await server.cloud.store.create(keys.shard(job, step + 1, shard), file);
  // When someone else's was first, the stored bytes are the truth: let the next step read them.
  if (created === "created") server.shards.set(shardStep, next);
  log.debug("shard committed", { version: step + 1, created, aggregateMs });
  return true;
}

/** Finite gradients can still add up to what no float32 holds; such a version must not be stored. */
function checkFinite(shardStep: ShardStep, next: Shard): void {
  const bad = firstNonFinite(next.parameters);
  if (bad < 0) return;
  const name = parameterAt(shardStep, bad);
  throw new BadGradient(
    `step ${shardStep.step}: the update of ${name} is not finite (${next.parameters[bad]}); ${NOT_FINITE_ADVICE}`,
  );
}

async function loadShard(
  { cloud, shards }: Server,
  shardStep: ShardStep,
  slots: readonly string[],
): Promise<Shard | null> {
  const { job, shard, step, layout } = shardStep;
  const cached = shards.get(shardStep, step);
  if (cached) return cached;
  const key = keys.shard(job, step, shard);
  const stored = await cloud.store.getAs(key, (body) => openShard(layout, shard, step, slots, body));
  if (stored) return stored;
  if (await requireVersion(cloud, job, step)) throw new TryAgain(`${key} is not there`);
  return null;
}

/** Every aggregator lists the version after its own commit, so the last one to commit sees all shards. */
async function isVersionComplete({ cloud }: Server, { job, step, layout }: ShardStep): Promise<boolean> {
  if (layout.shards.length === 1) return true;
  const listed = await cloud.store.list(`${keys.version(job, step + 1)}shard-`);
  return listed.length === layout.shards.length;
}

async function wake({ cloud }: Server, { job, step }: ShardStep, { attempt }: State): Promise<void> {
  await wakeCoordinator(cloud, job, `version-${step + 1}-${attempt}`);
}
