import { z } from "zod";
import { required } from "../../protocol/required.ts";
import { isSpace } from "./gpt2-words.ts";
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
 * Returns the tokens with the ids that Hugging Face's tokenizers give them: that of the vocabulary where it has the
 * token, else the next one past all others, whatever the file says.
 */
export function numberedTokens(
  added: readonly AddedToken[],
  vocab: { readonly size: number; get(token: string): number | undefined },
): AddedToken[] {
  const ids = new Map<string, number>();
  let next = vocab.size;
  return added.map((token) => {
    const id = ids.get(token.content) ?? vocab.get(token.content) ?? next;
    ids.set(token.content, id);
    next = Math.max(next, id + 1);
    return { ...token, id };
  });
}

/** A part of a text: an added token that was found in it, or the text between two. */
export type Section = { readonly text: string; readonly token: AddedToken | null };

/** Finds tokens in a text. */
export type TokenSplitter = (text: string) => Section[];

/**
 * Returns a function that finds tokens in texts: the first of them, and of those that begin together the longest, as
 * `AddedVocabulary` of Hugging Face tokenizers does.
 *
 * @param patterns each token by the text that is searched for
 */
export function tokenSplitter(patterns: ReadonlyMap<string, AddedToken>): TokenSplitter {
  if (patterns.size === 0) return (text) => [{ text, token: null }];
  const longestFirst = [...patterns.keys()].sort((a, b) => b.length - a.length);
  const expression = new RegExp(longestFirst.map(escapePattern).join("|"), "g");
  return (text) => {
    const sections: Section[] = [];
    let done = 0;
    for (const match of text.matchAll(expression)) {
      const token = required(patterns.get(match[0]), "an added token");
      let end = match.index + match[0].length;
      // Spaces beside a token that takes them are part of it, unless the token before has them.
      const start = token.lstrip ? Math.max(spacesBefore(text, match.index), done) : match.index;
      if (token.rstrip) end = spacesAfter(text, end);
      if (done < start) sections.push({ text: text.slice(done, start), token: null });
      sections.push({ text: text.slice(start, end), token });
      done = end;
    }
    if (done < text.length) sections.push({ text: text.slice(done), token: null });
    return sections;
  };
}

function spacesBefore(text: string, end: number): number {
  let start = end;
  while (start > 0 && isSpace(text.charCodeAt(start - 1))) start--;
  return start;
}

function spacesAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && isSpace(text.charCodeAt(end))) end++;
  return end;
}

/**
 * Returns a function that encodes a text with the added tokens in it, and `encode` for what is between. Tokens that are
 * not normalized are found first, and the others only between them.
 */
export function withAddedTokens(
  added: readonly AddedToken[],
  encode: (text: string, ids: IdList) => void,
): (text: string, ids: IdList) => void {
  const pass = (tokens: readonly AddedToken[], inner: typeof encode): typeof encode => {
    if (tokens.length === 0) return inner;
    const split = tokenSplitter(new Map(tokens.map((token) => [token.content, token])));
    return (text, ids) => {
      for (const section of split(text)) {
        if (section.token) ids.push(section.token.id);
        else inner(section.text, ids);
      }
    };
  };
  const normalized = added.filter((token) => token.normalized);
  const raw = added.filter((token) => !token.normalized);
  return pass(raw, pass(normalized, encode));
}
