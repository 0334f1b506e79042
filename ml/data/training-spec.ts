import type { DataSpec } from "../../protocol/data-spec.ts";
import type { ModelSpec } from "../../protocol/model-spec.ts";

/** The part of a job that says what is trained, on which data, and in which batches. */
export type TrainingSpec = {
  /** Named in messages. */
  readonly name: string;
  readonly model: ModelSpec;
  readonly data: DataSpec;
  readonly seed: number;
  readonly order: "random" | "sequential";
  readonly ranks: number;
  /** Sequences of a micro-batch. */
  readonly batch: number;
  /** Micro-batches of a rank's gradient. */
  readonly accumulation: number;
  readonly freeze: readonly string[];
  readonly evaluateEvery: number;
  readonly evaluateBatches: number;
};
