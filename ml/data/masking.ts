import { philox } from "../random/philox.ts";
import { counterOf, keyOf, type Stream } from "../random/streams.ts";

/**
 * The rule of a masked language model's task: in every sequence the same share of tokens, of which 80% are hidden by
 * the mask token, 10% replaced by a random one, and 10% left as they are. Source: Devlin et al. 2019, section 3.1
 * and appendix A.1.
 */
export type MaskRule = {
  /** Share of a sequence's tokens to predict, in (0, 1); at least one is. */
  readonly probability: number;
  /** Id of the mask token. */
  readonly mask: number;
  /** Ids of special tokens: predicted only where a sequence has too few others, and never put in. */
  readonly special: ReadonlySet<number>;
  readonly vocabulary: number;
};

export type Masked = {
  /** Indices of the tokens to predict in the flat batch, row after row. */
  readonly positions: Int32Array;
  /** The tokens that were there. */
  readonly targets: Int32Array;
};

const TWO_32 = 2 ** 32;

/** Returns how many tokens of a sequence are predicted: the same for all, so that every batch has the same shape. */
export const predictedTokens = (length: number, probability: number): number =>
  Math.min(length, Math.max(1, Math.round(probability * length)));

/**
 * Hides tokens of `ids`, in place: a pure function of these and of the rows' streams.
 *
 * @param ids sequences of `length` tokens, one after the other
 * @param streamOf the random numbers of a row
 */
export function maskTokens(
  ids: Int32Array,
  length: number,
  rule: MaskRule,
  streamOf: (row: number) => Stream,
): Masked {
  const rows = ids.length / length;
  const count = predictedTokens(length, rule.probability);
  const positions = new Int32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    const draws = drawsOf(streamOf(row), length);
    const chosen = choose(ids.subarray(row * length, (row + 1) * length), count, rule, draws);
    positions.set(
      chosen.map((i) => row * length + i),
      row * count,
    );
  }
  const targets = Int32Array.from(positions, (position) => ids[position] ?? 0);
  const replacements = replacementsOf(rule);
  for (const [n, position] of positions.entries()) {
    const row = Math.floor(n / count);
    ids[position] = replacementOf(
      targets[n] ?? 0,
      rule,
      replacements,
      drawAt(streamOf(row), position % length),
    );
  }
  return { positions, targets };
}

/** Four words of 32 random bits for a token. */
const drawAt = (stream: Stream, position: number): Uint32Array =>
  philox(counterOf(stream, position), keyOf(stream));

const drawsOf = (stream: Stream, length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => drawAt(stream, i)[0] ?? 0);

/** Positions of the tokens with the lowest draws, special ones last, in the order of the sequence. */
function choose(row: Int32Array, count: number, { special }: MaskRule, draws: Float64Array): Int32Array {
  const rank = (i: number) => (draws[i] ?? 0) + (special.has(row[i] ?? 0) ? TWO_32 : 0);
  return Int32Array.from(row.keys())
    .sort((a, b) => rank(a) - rank(b) || a - b)
    .slice(0, count)
    .sort();
}

/** The tokens that may replace another. */
const replacementsOf = ({ vocabulary, special }: MaskRule): number[] =>
  Array.from({ length: vocabulary }, (_, id) => id).filter((id) => !special.has(id));

function replacementOf(
  token: number,
  { mask }: MaskRule,
  replacements: readonly number[],
  draw: Uint32Array,
): number {
  const fate = (draw[1] ?? 0) / TWO_32;
  if (fate < 0.8) return mask;
  if (fate >= 0.9) return token;
  return replacements[Math.floor(((draw[2] ?? 0) / TWO_32) * replacements.length)] ?? token;
}
