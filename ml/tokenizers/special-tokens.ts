import { z } from "zod";
import type { Ids } from "./id-list.ts";

/** The tokens with a meaning of their own, as ids; null where a tokenizer has none. */
export type SpecialIds = Readonly<Record<SpecialName, number | null>>;
export type SpecialName = (typeof SPECIAL_NAMES)[number];
export const SPECIAL_NAMES = ["eos", "bos", "pad", "mask", "cls", "sep", "unk"] as const;

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

export const END_OF_TEXT = "<|endoftext|>";
export const PAD = "[PAD]";
export const MASK = "[MASK]";

/** How Hugging Face tokenizers usually call them, for a `tokenizer.json` without a configuration beside it. */
const USUAL: Readonly<Record<SpecialName, readonly string[]>> = {
  eos: [END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>"],
  bos: ["<s>", "<|begin_of_text|>", "<bos>"],
  pad: [PAD, "<pad>", "<|pad|>"],
  mask: [MASK, "<mask>"],
  cls: ["[CLS]", "<cls>"],
  sep: ["[SEP]", "<sep>"],
  unk: ["[UNK]", "<unk>"],
};

/** An entry of `added_tokens` for a token of our own. */
export const addedToken = (content: string, id: number): AddedToken => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** `tokenizer_config.json` for a `tokenizer.json` with these special tokens. */
export function configFor(tokens: Iterable<string>): Record<string, unknown> {
  const known = new Set(tokens);
  const named = SPECIAL_NAMES.flatMap((name) => {
    const token = USUAL[name].find((usual) => known.has(usual));
    return token === undefined ? [] : [[`${name}_token`, token] as const];
  });
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(named),
  };
}

/** The special ids that a `tokenizer_config.json` names; a token is written as text or as `{ "content": text }`. */
export function specialIds(
  config: Readonly<Record<string, unknown>>,
  idOf: (token: string) => number | undefined,
): SpecialIds {
  const ids = SPECIAL_NAMES.map((name) => {
    const token = contentOf(config[`${name}_token`]);
    return [name, token === undefined ? null : (idOf(token) ?? null)] as const;
  });
  return Object.fromEntries(ids) as Record<SpecialName, number | null>;
}

export function contentOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { content?: unknown } | null | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}

/** A text as a regular expression that matches it and nothing else. */
export const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/**
 * Encodes a text with the added tokens in it: at each place the longest of them, and `encode` for what is between.
 */
export function withAddedTokens(
  added: readonly AddedToken[],
  encode: (text: string, ids: Ids) => void,
): (text: string, ids: Ids) => void {
  const ids = new Map(added.map(({ content, id }) => [content, id]));
  const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map(escapePattern).join("|")})`);
  if (ids.size === 0) return encode;
  return (text, out) => {
    for (const [i, part] of text.split(pattern).entries()) {
      if (i % 2 === 0) encode(part, out);
      else out.push(ids.get(part) ?? 0);
    }
  };
}
