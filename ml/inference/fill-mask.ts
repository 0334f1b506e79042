import { InvalidInput } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import { requireRows } from "./known-tokens.ts";
import type { LanguageModel } from "./language-model.ts";
import { maskedTextTokens } from "./masked-text.ts";

export type Guess = {
  readonly token: number;
  /** The token as text, without white space around it. */
  readonly text: string;
  readonly probability: number;
  /** The text with this token in place of the mask; other masks stay. */
  readonly sequence: string;
};

/**
 * Guesses the token at each mask of a text, likeliest first, with a masked language model: the `fill-mask` pipeline of
 * transformers.
 *
 * @param text with `[MASK]`, or what the tokenizer calls it, at least once
 * @param topK guesses for each mask
 * @throws InvalidInput when the model is no masked one, or the text has no mask or is longer than the context
 */
export function fillMask(model: LanguageModel, text: string, topK: number): Guess[][] {
  const { family, tokenizer, config } = model;
  if (!family.masked) {
    throw new InvalidInput(
      `a ${family.type} model does not fill masks: it predicts the next token, so it generates text`,
    );
  }
  const { mask } = maskedTextTokens(tokenizer);
  const ids = tokenizer.encode(text, { special: true });
  const positions = [...ids.keys()].filter((position) => ids[position] === mask);
  if (positions.length === 0) {
    throw new InvalidInput(`the text must have ${tokenizer.decode([mask])} where a token is to be guessed`);
  }
  if (ids.length > config.context) {
    throw new InvalidInput(`the text must have at most ${config.context} tokens, got ${ids.length}`);
  }
  requireRows(model, ids, "the text");
  return probabilitiesAt(model, ids, positions).map((probabilities, i) =>
    likeliest(probabilities, topK, tokenizer.has).map((token) => ({
      token,
      text: tokenizer.decode([token]).trim(),
      probability: at(probabilities, token, "probability"),
      sequence: tokenizer.decode(ids.with(at(positions, i, "mask"), token), { skipSpecial: false }),
    })),
  );
}

/** Returns the probabilities of all tokens at some positions. */
function probabilitiesAt(
  { ops, family, config, theta }: LanguageModel,
  ids: readonly number[],
  positions: readonly number[],
): Float32Array[] {
  const { tf } = ops;
  const rows = tf.tidy(() => {
    const tokens = { ids: tf.tensor1d([...ids], "int32"), sequences: 1, length: ids.length };
    const logits = family.logits(ops, config, theta, tokens);
    return tf.softmax(tf.gather(logits, tf.tensor1d([...positions], "int32")));
  });
  const all = rows.dataSync<"float32">();
  rows.dispose();
  return positions.map((_, i) => all.slice(i * config.vocabulary, (i + 1) * config.vocabulary));
}

/** @param isToken false for a row of the model that is no token's */
function likeliest(probabilities: Float32Array, count: number, isToken: (id: number) => boolean): number[] {
  return [...probabilities.keys()]
    .filter(isToken)
    .sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0))
    .slice(0, count);
}
