import type { OptimizerSpec } from "./optimizer-spec.ts";

/**
 * Learning rate of the update that makes version step + 1: linear warm-up over `warmup` steps, then constant,
 * linear, or cosine decay to `minLearningRate` at `decaySteps`, and that minimum after it (nanoGPT's `get_lr`).
 */
export function learningRateAt({ learningRate, schedule }: OptimizerSpec, step: number): number {
  const { type, warmup, decaySteps, minLearningRate } = schedule;
  if (step < warmup) return (learningRate * (step + 1)) / (warmup + 1);
  if (type === "constant") return learningRate;
  if (step >= decaySteps) return minLearningRate;
  const progress = (step - warmup) / (decaySteps - warmup);
  const share = type === "linear" ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return minLearningRate + share * (learningRate - minLearningRate);
}
