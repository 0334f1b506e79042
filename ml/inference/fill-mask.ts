import { InvalidInput } from "../../protocol/errors.ts";
import { specialsOf } from "./evaluate-file.ts";
import type { LanguageModel } from "./language-model.ts";

export type Guess = {
  readonly token: number;
  /** The token as text, without white space around it. */
  readonly text: string;
  readonly probability: number;
  /** The text with this token in place of the mask; other masks stay. */
  readonly sequence: string;
};

/**
 * What a masked language model would put at each mask of a text, likeliest first: the `fill-mask` pipeline of
 * transformers.
 *
 * @param text with `[MASK]`, or what the tokenizer calls it, at least once
 * @param topK guesses for each mask
 * @throws InvalidInput when the model does not do this, the text has no mask, or is longer than the context
 */
export function fillMask(model: LanguageModel, text: string, topK: number): Guess[][] {
  const { family, tokenizer, config } = model;
  if (!family.masked) {
    throw new InvalidInput(
      `a ${family.type} model does not fill masks; bert models do, and this one generates text`,
    );
  }
  const { mask } = specialsOf(tokenizer);
  const ids = tokenizer.encode(text, { special: true });
  const places = [...ids.keys()].filter((place) => ids[place] === mask);
  if (places.length === 0) {
    throw new InvalidInput(`the text must have ${tokenizer.decode([mask])} where a token is to be guessed`);
  }
  if (ids.length > config.context) {
    throw new InvalidInput(`the text must have at most ${config.context} tokens, got ${ids.length}`);
  }
  return probabilitiesAt(model, ids, places).map((probabilities, i) =>
    likeliest(probabilities, topK).map((token) => ({
      token,
      text: textOf(model, token),
      probability: probabilities[token] ?? 0,
      sequence: tokenizer.decode(ids.with(places[i] ?? 0, token), { skipSpecial: false }),
    })),
  );
}

function textOf({ tokenizer }: LanguageModel, token: number): string {
  return token < tokenizer.vocabulary ? tokenizer.decode([token]).trim() : "";
}

/** The probability of every token at some places. */
function probabilitiesAt(
  { ops, family, config, theta }: LanguageModel,
  ids: readonly number[],
  places: readonly number[],
): Float32Array[] {
  const { tf } = ops;
  const rows = tf.tidy(() => {
    const tokens = { ids: tf.tensor1d([...ids], "int32"), sequences: 1, length: ids.length };
    const logits = family.logits(ops, config, theta, tokens);
    return tf.softmax(tf.gather(logits, tf.tensor1d([...places], "int32")));
  });
  const all = rows.dataSync<"float32">();
  rows.dispose();
  return places.map((_, i) => all.slice(i * config.vocabulary, (i + 1) * config.vocabulary));
}

function likeliest(probabilities: Float32Array, count: number): number[] {
  return [...probabilities.keys()]
    .sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0))
    .slice(0, count);
}
