import type { OptimizerSpec } from "../../protocol/job.ts";
import type { Range } from "../../protocol/layout.ts";
import { learningRateAt } from "../../protocol/schedule.ts";

/**
 * Element-wise optimizers on a shard's vectors, in place. All arithmetic is in float32 (`Math.fround`, which V8
 * compiles to single-precision instructions), one rounding per operation, so a shard's bytes do not depend on how
 * the vector was cut. Formulas are PyTorch's (torch.optim.SGD, Adam, AdamW), whose step count starts at 1.
 */
export type Vectors = { readonly parameters: Float32Array; readonly slots: readonly Float32Array[] };

type Slice = {
  readonly from: number;
  readonly to: number;
  readonly g: Float32Array;
  readonly p: Float32Array;
};

const f32 = Math.fround;

/**
 * Applies the update of `step` (the one that makes version step + 1).
 *
 * @param gradient the ranks' combined gradient, as long as the shard
 * @param decaying element ranges in which weight decay applies, in order
 */
export function applyOptimizer(
  optimizer: OptimizerSpec,
  step: number,
  vectors: Vectors,
  gradient: Float32Array,
  decaying: readonly Range[],
): void {
  const rate = learningRateAt(optimizer, step);
  for (const { start: from, end: to, decay } of segments(gradient.length, decaying)) {
    const slice = { from, to, g: gradient, p: vectors.parameters };
    update(optimizer, step, rate, decay ? optimizer.weightDecay : 0, slice, vectors.slots);
  }
}

function update(
  optimizer: OptimizerSpec,
  step: number,
  rate: number,
  decay: number,
  slice: Slice,
  slots: readonly Float32Array[],
): void {
  const [a = empty, b = empty] = slots;
  switch (optimizer.type) {
    case "sgd":
      sgd(slice, rate, decay);
      break;
    case "momentum":
      momentum(slice, a, rate, decay, optimizer.momentum, false);
      break;
    case "nesterov":
      momentum(slice, a, rate, decay, optimizer.momentum, true);
      break;
    case "adam":
      adam(slice, a, b, { ...optimizer, rate, l2: decay, shrink: 0, step });
      break;
    case "adamw":
      adam(slice, a, b, { ...optimizer, rate, l2: 0, shrink: rate * decay, step });
      break;
  }
}

const empty = new Float32Array(0);

/** p -= rate (g + decay p) */
function sgd({ from, to, g, p }: Slice, rate: number, decay: number): void {
  const lr = f32(rate);
  const wd = f32(decay);
  for (let i = from; i < to; i++) {
    const w = p[i] as number;
    const d = f32((g[i] as number) + f32(wd * w));
    p[i] = f32(w - f32(lr * d));
  }
}

/** b = mu b + g; p -= rate b, or rate (g + mu b) for Nesterov */
function momentum(
  { from, to, g, p }: Slice,
  buffer: Float32Array,
  rate: number,
  decay: number,
  factor: number,
  nesterov: boolean,
): void {
  const lr = f32(rate);
  const wd = f32(decay);
  const mu = f32(factor);
  for (let i = from; i < to; i++) {
    const w = p[i] as number;
    const d = f32((g[i] as number) + f32(wd * w));
    const b = f32(f32(mu * (buffer[i] as number)) + d);
    buffer[i] = b;
    p[i] = f32(w - f32(lr * (nesterov ? f32(d + f32(mu * b)) : b)));
  }
}

type AdamSettings = {
  readonly rate: number;
  readonly l2: number;
  /** Decoupled decay: parameters shrink by this share. */
  readonly shrink: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly step: number;
};

/** Kingma & Ba 2015, algorithm 1, with bias correction; decoupled decay as in Loshchilov & Hutter 2019. */
function adam({ from, to, g, p }: Slice, m: Float32Array, v: Float32Array, settings: AdamSettings): void {
  const { rate, l2, shrink, beta1, beta2, epsilon, step } = settings;
  const b1 = f32(beta1);
  const b2 = f32(beta2);
  const a1 = f32(1 - beta1);
  const a2 = f32(1 - beta2);
  const size = f32(rate / (1 - power(beta1, step + 1)));
  const scale = f32(1 / Math.sqrt(1 - power(beta2, step + 1)));
  const eps = f32(epsilon);
  const keep = f32(1 - shrink);
  const wd = f32(l2);
  for (let i = from; i < to; i++) {
    const w = p[i] as number;
    const d = f32((g[i] as number) + f32(wd * w));
    const mi = f32(f32(b1 * (m[i] as number)) + f32(a1 * d));
    const vi = f32(f32(b2 * (v[i] as number)) + f32(a2 * f32(d * d)));
    m[i] = mi;
    v[i] = vi;
    const denominator = f32(f32(f32(Math.sqrt(vi)) * scale) + eps);
    p[i] = f32(f32(keep * w) - f32(size * f32(mi / denominator)));
  }
}

/** base^n by repeated multiplication: unlike Math.pow, the same bits in every engine. */
function power(base: number, n: number): number {
  let result = 1;
  for (let square = base, rest = n; rest > 0; rest = Math.floor(rest / 2), square *= square) {
    if (rest % 2 === 1) result *= square;
  }
  return result;
}

/** Cuts [0, length) at the edges of the decaying ranges. */
function* segments(length: number, decaying: readonly Range[]): Generator<Range & { decay: boolean }> {
  let at = 0;
  for (const { start, end } of decaying) {
    if (at < start) yield { start: at, end: start, decay: false };
    yield { start, end, decay: true };
    at = end;
  }
  if (at < length) yield { start: at, end: length, decay: false };
}
