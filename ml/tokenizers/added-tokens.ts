import { z } from "zod";
import { required } from "../../protocol/required.ts";
import type { IdList } from "./id-list.ts";

/** Ids are below it: pairs of them fit into numbers, and lists by id into memory. Ten times the largest in use. */
export const MAX_VOCABULARY = 2 ** 22;

/** A token that is found in a text before anything else is done with it: `added_tokens` of a `tokenizer.json`. */
export const addedTokenSchema = z.object({
  id: z.int().min(0).lt(MAX_VOCABULARY),
  content: z.string().min(1),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(true),
  special: z.boolean().default(false),
});
export type AddedToken = z.infer<typeof addedTokenSchema>;

/** Returns the entry of `added_tokens` for a special token of our own. */
export const addedToken = (content: string, id: number): AddedToken => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** Returns a regular expression that matches a text and nothing else. */
export const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/**
 * Returns a function that encodes a text with the added tokens in it: at each position the longest of them, and
 * `encode` for what is between.
 */
export function withAddedTokens(
  added: readonly AddedToken[],
  encode: (text: string, ids: IdList) => void,
): (text: string, ids: IdList) => void {
  const ids = new Map(added.map(({ content, id }) => [content, id]));
  const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map(escapePattern).join("|")})`);
  if (ids.size === 0) return encode;
  return (text, out) => {
    for (const [i, part] of text.split(pattern).entries()) {
      if (i % 2 === 0) encode(part, out);
      else out.push(required(ids.get(part), "the id of an added token"));
    }
  };
}
