import { stepShard } from "../functions/aggregator/optimizer.ts";
import { firstNonFinite } from "../functions/aggregator/reduce.ts";
import { parseJobFile } from "../protocol/job.ts";
import { type Layout, planLayout } from "../protocol/layout.ts";
import { type OptimizerSpec, slotsOf } from "../protocol/optimizer-spec.ts";
import { blankShard } from "../protocol/shard.ts";
import { median, report } from "./support/report.ts";

/**
 * Measures the aggregation core: the sum of R gradients and the optimizer's update, from one shard's vectors to the
 * next's. Counts the bytes that must move: R gradients and the current vectors read, the next ones written. Its limit is a
 * copy of a vector too large for any cache, read and written, timed in turn with it. Compares the best rounds: other work
 * of the machine slows both, and the longer of the two more often.
 */
const LENGTH = 10_000_019;
const COPIED = 3 * LENGTH;
const ROUNDS = 31;
const ASKED = 0.5;

const source = new Float32Array(COPIED).fill(1);
const target = new Float32Array(COPIED).fill(2);
const gradients = Array.from({ length: 8 }, (_, rank) => values(rank));
const layout: Layout = planLayout([{ name: "w", shape: [LENGTH, 1] }], 1, gradients.length);

const figures: Record<string, number> = {};
const ratios: number[] = [];
for (const type of ["adamw", "sgd"] as const) for (const ranks of [2, 8]) measure(type, ranks);
figures["check that a gradient is finite, GB/s"] =
  (4 * LENGTH) / 1e6 / median(gradients.map((gradient) => time(() => firstNonFinite(gradient))));
report(`aggregation core, ${LENGTH} parameters, one thread`, figures);
console.log(`lowest ratio ${Math.min(...ratios).toFixed(2)} (asked: at least ${ASKED})`);

function measure(type: "adamw" | "sgd", ranks: number): void {
  const optimizer = optimizerOf(type);
  const slots = slotsOf(optimizer);
  const current = blankShard(layout, 0, 1, slots);
  current.parameters.set(values(9));
  for (const slot of current.slots) slot.set(values(10));
  const next = blankShard(layout, 0, 2, slots);
  const step = (to = next) =>
    stepShard({
      optimizer,
      step: 1,
      gradients: gradients.slice(0, ranks),
      reduce: "mean",
      decaying: [{ start: 0, end: LENGTH }],
      current,
      next: to,
    });
  step();
  const rounds = Array.from({ length: ROUNDS }, () => ({
    copy: (8 * COPIED) / 1e6 / time(() => target.set(source)),
    core: bytesMoved(ranks, slots) / 1e6 / time(step),
  }));
  const cold = Array.from({ length: 3 }, () => time(() => step(blankShard(layout, 0, 2, slots))));
  const copy = rounds.map((round) => round.copy);
  const core = rounds.map((round) => round.core);
  const ratio = Math.max(...core) / Math.max(...copy);
  const what = `${type}, ${ranks} ranks`;
  figures[`${what}: memory copy, GB/s, best`] = Math.max(...copy);
  figures[`${what}: core, GB/s, best`] = Math.max(...core);
  figures[`${what}: ratio of the best rounds`] = ratio;
  figures[`${what}: ratio of the medians`] = median(core) / median(copy);
  figures[`${what}: core into newly allocated memory, GB/s`] =
    bytesMoved(ranks, slots) / 1e6 / Math.min(...cold);
  ratios.push(ratio);
}

function bytesMoved(ranks: number, slots: readonly string[]): number {
  return 4 * LENGTH * (ranks + 2 * (1 + slots.length));
}

function optimizerOf(type: "adamw" | "sgd"): OptimizerSpec {
  const model = { type: "linear", inputs: 1, outputs: 1 };
  const optimizer = { type, learningRate: 1e-3, weightDecay: 0.1 };
  const job = { name: "bench", model, data: { type: "linear" }, steps: 1, batch: 1, optimizer };
  return parseJobFile(job, "bench").optimizer;
}

/** Small positive numbers. */
function values(seed: number): Float32Array {
  const vector = new Float32Array(LENGTH);
  for (let i = 0; i < LENGTH; i++) vector[i] = ((i * 7 + seed * 13) % 1009) * 1e-5;
  return vector;
}

/** Returns the ms that work takes. */
function time(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}
