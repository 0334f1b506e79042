import { MAX_SHARDS } from "./job.ts";
import { type OptimizerSpec, slotsOf } from "./optimizer-spec.ts";

/** Bytes of pieces and state that one function may hold: half of its 3,008 MB, beside caches and what Node takes. */
export const AGGREGATOR_BYTES = 1.5e9;

/** Assumptions of the rule about AWS; docs/scaling.md has the sources and the derivation. */
const ASSUMED = {
  /** Bytes a second that a function exchanges with S3. */
  bandwidth: 75e6,
  /** US dollars of one PUT. */
  put: 5e-6,
  /** US dollars of a worker's second: a g4dn.xlarge on Spot at 0.20 an hour. */
  worker: 0.2 / 3600,
} as const;

/** Below this, a shard's transfers take less time than the messages about it. */
const MIN_PARAMETERS = 1e6;

/** Bytes that summing so many parameters holds and moves: each rank's piece, parameters and slots before and after. */
export const aggregationBytes = (parameters: number, ranks: number, optimizer: OptimizerSpec): number =>
  (4 * ranks + 8 * (1 + slotsOf(optimizer).length)) * parameters;

/**
 * The number of shards at which a step costs least, when the job does not say it. More shards are summed sooner, side
 * by side, while all workers wait; but each rank pays a PUT for each shard. With R ranks, P parameters, k optimizer
 * slots, bandwidth B, price p of a PUT and c of a worker's second, a step costs R S p + R c (4R + 8 (1 + k)) P / (S B),
 * which is least at S = sqrt((4R + 8 (1 + k)) P c / (B p)). A shard must also fit into a function's memory. The result
 * of the training is the same for any number.
 */
export function shardCount(parameters: number, ranks: number, optimizer: OptimizerSpec): number {
  const bytes = aggregationBytes(parameters, ranks, optimizer);
  const cheapest = Math.sqrt((bytes * ASSUMED.worker) / (ASSUMED.bandwidth * ASSUMED.put));
  const fewest = Math.ceil(bytes / AGGREGATOR_BYTES);
  const most = Math.max(1, Math.floor(parameters / MIN_PARAMETERS));
  return Math.min(MAX_SHARDS, Math.max(fewest, Math.min(Math.round(cheapest), most)));
}
