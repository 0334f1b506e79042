import { CorruptData } from "../../protocol/errors.ts";
import type { Tokens } from "./dataset.ts";

/** Text for a model that has fewer rows than the text's tokenizer has ids. */

const BLOCK = 1 << 20;

/** A token that a model has no row for, and its place in the text. */
export type UnknownId = { readonly place: number; readonly id: number };

/** Reads all of a text for the first id that is not below `rows`; null when there is none. */
export function findUnknownId(tokens: Tokens, rows: number): UnknownId | null {
  for (let start = 0; start < tokens.length; start += BLOCK) {
    const ids = new Int32Array(Math.min(BLOCK, tokens.length - start));
    tokens.read(start, ids);
    const at = ids.findIndex((id) => id >= rows);
    if (at !== -1) return { place: start + at, id: ids[at] ?? 0 };
  }
  return null;
}

/** The same text, which refuses to be read where an id is not below `rows`. */
export const withinRows = (tokens: Tokens, rows: number): Tokens => ({
  ...tokens,
  read(start, into) {
    tokens.read(start, into);
    const at = into.findIndex((id) => id >= rows);
    if (at === -1) return;
    throw new CorruptData(
      `token ${start + at} of the text must be below the ${rows} rows of the model, got ${into[at]}`,
    );
  },
});
