import type { Cloud } from "../cloud/connect.ts";
import { AGGREGATOR_BYTES } from "../protocol/shard-count.ts";
import { MemoryGate } from "./aggregator/memory-gate.ts";
import { PieceCache } from "./aggregator/piece-cache.ts";
import { ShardCache } from "./aggregator/shard-cache.ts";

/** The memory of a function's container between invocations: clients, and caches that may be lost at any time. */
export type Server = {
  readonly cloud: Cloud;
  readonly shards: ShardCache;
  readonly pieces: PieceCache;
  /** Work that sums a shard's pieces passes it. */
  readonly memory: MemoryGate;
};

export const createServer = (cloud: Cloud): Server => ({
  cloud,
  shards: new ShardCache(),
  pieces: new PieceCache(),
  memory: new MemoryGate(AGGREGATOR_BYTES),
});
