import type { JobSpec, OptimizerSpec } from "../../protocol/job.ts";
import type { Range } from "../../protocol/layout.ts";
import { learningRateAt } from "../../protocol/schedule.ts";
import { add, compile, constant, div, type Expression, input, instantiate, mul, sqrt, sub } from "./kernel.ts";
import { BLOCK, memoryOf, scratch, slotPlace, slotView } from "./kernel-memory.ts";
import { sumBlock } from "./reduce.ts";

/**
 * Element-wise optimizers on a shard's vectors. All arithmetic is in float32, one rounding per operation, so a
 * shard's bytes do not depend on how the vector was cut. Formulas are PyTorch's (torch.optim.SGD, Adam, AdamW),
 * whose step count starts at 1.
 */
export type Vectors = { readonly parameters: Float32Array; readonly slots: readonly Float32Array[] };

export type ShardUpdate = {
  readonly optimizer: OptimizerSpec;
  /** The update of this step makes version step + 1. */
  readonly step: number;
  /** One per rank, in rank order, each as long as the shard. */
  readonly gradients: readonly Float32Array[];
  readonly reduce: JobSpec["reduce"];
  /** Element ranges in which weight decay applies, in order. */
  readonly decaying: readonly Range[];
  /** Read only. */
  readonly current: Vectors;
  /** Overwritten; no part of it may be part of `current`. */
  readonly next: Vectors;
};

const [sum, p, a, b] = [input(0), input(1), input(2), input(3)];

/** Each formula's constants, in this order; not every formula has a use for all. */
const names = ["share", "decay", "keep", "rate", "momentum", "beta1", "beta2"] as const;
const moreNames = ["fresh1", "fresh2", "correction", "epsilon"] as const;
type Constants = Record<(typeof names)[number] | (typeof moreNames)[number], number>;
