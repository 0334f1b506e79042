import type { JobSpec } from "../../protocol/job.ts";
import type { Range } from "../../protocol/layout.ts";
import type { OptimizerSpec } from "../../protocol/optimizer-spec.ts";
import { at } from "../../protocol/required.ts";
import { learningRateAt } from "../../protocol/schedule.ts";
import {
  add,
  compile,
  constant,
  div,
  type Expression,
  input,
  type Kernel,
  mul,
  sqrt,
  sub,
} from "./kernel.ts";
import { cutIntoSlots, load, scratch, store } from "./kernel-blocks.ts";
import { GROUP, loadGradients, sumOf } from "./reduce.ts";

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

/** Applies a step's update to a shard: sums the ranks' gradients and makes `next` of `current`. */
export function stepShard({
  optimizer,
  step,
  gradients,
  reduce,
  decaying,
  current,
  next,
}: ShardUpdate): void {
  const from = [current.parameters, ...current.slots];
  const to = [next.parameters, ...next.slots];
  const share = reduce === "mean" ? 1 / gradients.length : 1;
  const withDecay = constantsAt(optimizer, step, share, optimizer.weightDecay);
  const without = constantsAt(optimizer, step, share, 0);
  const atOnce = Math.min(gradients.length, GROUP);
  const slots = cutIntoSlots(atOnce + from.length);
  for (const range of blocks(current.parameters.length, decaying, slots.block)) {
    const addends = loadGradients(slots, gradients, range);
    const offsets = from.map((vector, i) => load(slots, atOnce + i, vector, range));
    const update = kernelFor(optimizer.type, addends.length);
    const constants = range.decay ? withDecay : without;
    update(range.end - range.start, [...addends, ...offsets, ...offsets], constants);
    for (const [i, vector] of to.entries()) store(at(offsets, i, "a vector's block"), vector, range);
  }
}

type Type = OptimizerSpec["type"];

const kernels = new Map<string, Kernel>();

function kernelFor(type: Type, addends: number): Kernel {
  const key = `${type} ${addends}`;
  const compiled = kernels.get(key);
  if (compiled) return compiled;
  const gradient = mul(constant("share"), sumOf(addends));
  const outputs = formulas[type](gradient, input(addends), input(addends + 1), input(addends + 2));
  const kernel = compile({ inputs: addends + outputs.length, outputs }, scratch);
  kernels.set(key, kernel);
  return kernel;
}

/** From gradient, parameter and its slots to the next parameter and slots. */
type Rule = (g: Expression, p: Expression, a: Expression, b: Expression) => readonly Expression[];

const formulas: Record<Type, Rule> = {
  sgd: (g, p) => [descend(p, penalized(g, p))],
  momentum: (g, p, buffer) => {
    const velocity = add(mul(constant("momentum"), buffer), penalized(g, p));
    return [descend(p, velocity), velocity];
  },
  nesterov: (g, p, buffer) => {
    const direction = penalized(g, p);
    const velocity = add(mul(constant("momentum"), buffer), direction);
    return [descend(p, add(direction, mul(constant("momentum"), velocity))), velocity];
  },
  adam: (g, p, m, v) => adam(penalized(g, p), p, m, v),
  adamw: (g, p, m, v) => adam(g, p, m, v),
};

const descend = (p: Expression, direction: Expression): Expression =>
  sub(p, mul(constant("rate"), direction));

/** The gradient of the loss with an L2 penalty. */
const penalized = (g: Expression, p: Expression): Expression => add(g, mul(constant("decay"), p));

/** Kingma & Ba 2015, algorithm 1, with bias correction; decoupled decay as in Loshchilov & Hutter 2019. */
function adam(g: Expression, p: Expression, m: Expression, v: Expression): readonly Expression[] {
  const mean = add(mul(constant("beta1"), m), mul(constant("fresh1"), g));
  const square = add(mul(constant("beta2"), v), mul(constant("fresh2"), mul(g, g)));
  const denominator = add(mul(sqrt(square), constant("correction")), constant("epsilon"));
  return [sub(mul(constant("keep"), p), mul(constant("size"), div(mean, denominator))), mean, square];
}

/** The formulas' constants; each is rounded to float32 once. */
function constantsAt(
  optimizer: OptimizerSpec,
  step: number,
  share: number,
  decay: number,
): Record<string, number> {
  const rate = learningRateAt(optimizer, step);
  if (optimizer.type === "sgd") return { share, decay, rate };
  if (optimizer.type === "momentum" || optimizer.type === "nesterov") {
    return { share, decay, rate, momentum: optimizer.momentum };
  }
  const { beta1, beta2, epsilon } = optimizer;
  return {
    share,
    decay,
    beta1,
    beta2,
    epsilon,
    fresh1: 1 - beta1,
    fresh2: 1 - beta2,
    size: rate / (1 - power(beta1, step + 1)),
    correction: 1 / Math.sqrt(1 - power(beta2, step + 1)),
    keep: optimizer.type === "adamw" ? 1 - rate * decay : 1,
  };
}

/** base^n by repeated multiplication: unlike Math.pow, the same bits in every engine. */
function power(base: number, n: number): number {
  let result = 1;
  for (let square = base, rest = n; rest > 0; rest = Math.floor(rest / 2), square *= square) {
    if (rest % 2 === 1) result *= square;
  }
  return result;
}

type Stretch = Range & { readonly decay: boolean };

/** Cuts [0, length) at the edges of the decaying ranges, and into blocks. */
function* blocks(length: number, decaying: readonly Range[], block: number): Generator<Stretch> {
  for (const { start, end, decay } of segments(length, decaying)) {
    for (let from = start; from < end; from += block) {
      yield { start: from, end: Math.min(from + block, end), decay };
    }
  }
}

function* segments(length: number, decaying: readonly Range[]): Generator<Stretch> {
  let from = 0;
  for (const { start, end } of decaying) {
    if (from < start) yield { start: from, end: start, decay: false };
    yield { start, end, decay: true };
    from = end;
  }
  if (from < length) yield { start: from, end: length, decay: false };
}
