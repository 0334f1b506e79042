import type { JobSpec } from "../../protocol/job.ts";
import { type Layout, tensorAt } from "../../protocol/layout.ts";
import { rangeOf } from "../../protocol/shard.ts";

/** One step of one shard, with its job's spec and layout. */
export type ShardStep = {
  readonly job: string;
  readonly shard: number;
  readonly step: number;
  readonly spec: JobSpec;
  readonly layout: Layout;
  /** Of the job; a resume may go back to an earlier version. */
  readonly attempt: number;
};

/** Names the parameter at an element of the shard, for messages to people. */
export function parameterAt({ layout, shard }: ShardStep, element: number): string {
  return tensorAt(layout, rangeOf(layout, shard).start + element)?.name ?? `element ${element}`;
}

export const NOT_FINITE_ADVICE = "lower optimizer.learningRate or set optimizer.clipNorm";
