import { CorruptData } from "../../protocol/errors.ts";
import { at, required } from "../../protocol/required.ts";
import { uniform } from "../random/streams.ts";

/** The rule that chooses the next token from the logits. Formulas and their order are those of transformers' generate. */
export type Sampling = {
  /** Divides the logits: above 1 texts vary more, below 1 less; 0 always takes the likeliest token. */
  readonly temperature: number;
  /**
   * Draws only from the k likeliest tokens, and those as likely as the last of them.
   * @default null: from all
   */
  readonly topK?: number | null;
  /**
   * Draws from the fewest tokens that have this share of the probability.
   * @default 1: from all
   */
  readonly topP?: number;
  /**
   * Above 1, makes tokens of the text so far less likely; below 1, likelier.
   * @default 1
   */
  readonly repetitionPenalty?: number;
  /** Same seed, same choice. */
  readonly seed: number;
};

/** The place of the token to choose. */
export type Place = {
  /** Of the token among those generated for its text. */
  readonly position: number;
  /** The tokens before: the prompt and what was generated. */
  readonly seen?: readonly number[];
  /** Ids that are never chosen. */
  readonly barred?: readonly number[];
};

/**
 * Chooses the next token.
 *
 * @param logits changed by this
 * @throws CorruptData when a logit is not finite
 */
export function sampleToken(
  logits: Float32Array,
  sampling: Sampling,
  { position, seen = [], barred = [] }: Place,
): number {
  requireFinite(logits);
  for (const id of barred) logits[id] = -Infinity;
  const { temperature, topK = null, topP = 1, repetitionPenalty = 1, seed } = sampling;
  if (repetitionPenalty !== 1) penalize(logits, seen, repetitionPenalty);
  const best = likeliest(logits);
  if (temperature === 0) return best;
  // The largest becomes 0 first: a tiny temperature then makes the others -Infinity, and none of them infinite.
  const highest = at(logits, best, "logit");
  const scaled = Float64Array.from(logits, (logit) => (logit - highest) / temperature);
  if (topK !== null && topK < scaled.length) keepLikeliest(scaled, topK);
  if (topP < 1) keepShare(scaled, topP);
  return draw(scaled, uniform({ seed, purpose: "sample", indices: [position] }), best);
}

function requireFinite(logits: Float32Array): void {
  if (logits.length > 0 && logits.every(Number.isFinite)) return;
  throw new CorruptData(
    "the model predicts numbers that are not finite: its parameters are damaged or diverged",
  );
}

/** Source: Keskar et al. 2019 (CTRL), section 4.1, for negative logits as transformers has it. */
export function penalize(logits: Float32Array, seen: readonly number[], penalty: number): void {
  for (const token of new Set(seen)) {
    const logit = logits[token];
    if (logit !== undefined) logits[token] = logit < 0 ? logit * penalty : logit / penalty;
  }
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) {
    if ((logits[token] ?? 0) > (logits[best] ?? 0)) best = token;
  }
  return best;
}

/** Sets all but the k largest to -Infinity; ties with the last one stay. Source: Fan et al. 2018. */
export function keepLikeliest(logits: Float64Array, k: number): void {
  const sorted = logits.slice().sort();
  const least = sorted[sorted.length - k] ?? -Infinity;
  for (let i = 0; i < logits.length; i++) if ((logits[i] ?? 0) < least) logits[i] = -Infinity;
}

/**
 * Sets all but the largest with `share` of the probability to -Infinity; ties with the last one stay.
 * Source: Holtzman et al. 2020, section 3.1.
 */
export function keepShare(logits: Float64Array, share: number): void {
  const sorted = logits.slice().sort();
  const highest = required(sorted.at(-1), "the highest logit");
  const total = sorted.reduce((sum, logit) => sum + Math.exp(logit - highest), 0);
  // The unlikeliest tokens that have at most 1 - share together are left out; the likeliest stays in any case.
  let first = 0;
  for (let sum = 0; first < sorted.length - 1; first++) {
    sum += Math.exp((sorted[first] ?? 0) - highest) / total;
    if (sum > 1 - share) break;
  }
  const least = sorted[first] ?? -Infinity;
  for (let i = 0; i < logits.length; i++) if ((logits[i] ?? 0) < least) logits[i] = -Infinity;
}

/** @param chance uniform in [0, 1) */
function draw(logits: Float64Array, chance: number, best: number): number {
  const weights = logits.map(Math.exp);
  let left = chance * weights.reduce((sum, weight) => sum + weight, 0);
  for (let token = 0; token < weights.length; token++) {
    left -= weights[token] ?? 0;
    if (left < 0) return token;
  }
  // Rounding may leave a rest after the last token.
  return best;
}
