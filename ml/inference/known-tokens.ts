import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import type { ModelConfig } from "../models/family.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";

/** A tokenizer may have ids past a model's rows, and a model rows that are no token's. */
export type TokensOfModel = {
  readonly config: Pick<ModelConfig, "vocabulary">;
  readonly tokenizer: Pick<Tokenizer, "has" | "decode">;
};

/** @throws InvalidInput for a token that the model has no row for */
export function requireRows(
  { config, tokenizer }: TokensOfModel,
  ids: readonly number[],
  what: string,
): void {
  const id = ids.find((token) => token >= config.vocabulary);
  if (id === undefined) return;
  const token = JSON.stringify(tokenizer.decode([id]));
  throw new InvalidInput(
    `${what} has the token ${token} with id ${id}; the model has rows for ids below ${config.vocabulary} only`,
  );
}

/**
 * Returns the rows of a model that are no token's, and end no text either.
 *
 * @throws CorruptData when there is no other row
 */
export function rowsWithoutToken(
  { config, tokenizer }: TokensOfModel,
  endTokens: ReadonlySet<number>,
): number[] {
  const ids = Array.from({ length: config.vocabulary }, (_, id) => id);
  const without = ids.filter((id) => !tokenizer.has(id) && !endTokens.has(id));
  if (without.length < ids.length) return without;
  throw new CorruptData(
    `the tokenizer has no token below the vocab_size ${config.vocabulary} of config.json`,
  );
}
