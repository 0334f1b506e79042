import { z } from "zod";
import { CorruptData } from "../../protocol/errors.ts";
import { parseAs } from "../../protocol/parse.ts";
import { type AddedToken, addedTokenSchema, MAX_VOCABULARY, numberedTokens } from "./added-tokens.ts";
import { type BpeModel, bpeTokenizer } from "./bpe.ts";
import type { Merges, Vocabulary } from "./bpe-merges.ts";
import { CHAR_PRE_TOKENIZER, charTokenizer } from "./char.ts";
import { libraryTokenizer } from "./library-tokenizer.ts";
import { configFor, type SpecialIds, specialIds } from "./special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "./tokenizer.ts";

const fileSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  // Files of the first versions do not say.
  model: z.looseObject({ type: z.enum(["BPE", "WordPiece", "Unigram", "WordLevel"]).optional() }),
});
type File = z.infer<typeof fileSchema>;

/**
 * Opens a tokenizer: a char, byte or trained one of ours, or any `tokenizer.json` of Hugging Face tokenizers.
 *
 * @param files `tokenizer.json`, and `tokenizer_config.json` where there is one
 * @param what names `tokenizer.json` in errors
 * @throws CorruptData when it can't be used
 */
export function openTokenizer(files: TokenizerFiles, what: string): Tokenizer {
  const bytes = files["tokenizer.json"];
  if (!bytes) throw new CorruptData(`${what} is missing`);
  const parsed = parseAs(fileSchema, bytes, what);
  const tokens = vocabularyOf(parsed.model, what);
  const file = { ...parsed, added_tokens: numberedTokens(parsed.added_tokens, tokens) };
  const config = configOf(files, file, what);
  const own = ownModel(file, tokens, config, what);
  if (own?.type === "char") return charTokenizer(own.vocab, file.added_tokens, own.special, files, what);
  if (own?.type === "bpe") return bpeTokenizer(own, files, what);
  return libraryTokenizer(file, config, files, what);
}

const configSchema = z.record(z.string(), z.unknown());

function configOf(files: TokenizerFiles, file: File, what: string): Record<string, unknown> {
  const bytes = files["tokenizer_config.json"];
  if (bytes) return parseAs(configSchema, bytes, `the tokenizer_config.json beside ${what}`);
  return configFor(file.added_tokens.map(({ content }) => content));
}

type Own = ({ type: "bpe" } & BpeModel) | { type: "char"; vocab: Vocabulary; special: SpecialIds };

/** The model of a tokenizer that is fast here; null for every other, which the library runs. */
function ownModel(file: File, vocab: Vocabulary, config: Record<string, unknown>, what: string): Own | null {
  const { model, added_tokens: added } = file;
  const plain = added.every((token) => !token.lstrip && !token.rstrip && !token.single_word);
  if (file.normalizer != null || !plain) return null;
  if (model.type === "WordLevel" && same(file.pre_tokenizer, CHAR_PRE_TOKENIZER)) {
    return { type: "char", vocab, special: specialsOf(config, vocab, added) };
  }
  const byteLevel = byteLevelSchema.safeParse(file.pre_tokenizer).data;
  const adds = file.post_processor != null && !postByteLevel.safeParse(file.post_processor).success;
  if (!byteLevel || adds || !isPlainBpe(model)) return null;
  const merges = parseMerges(model.merges, what);
  const special = specialsOf(config, vocab, added);
  return { type: "bpe", vocab, merges, added, special, words: byteLevel.use_regex };
}

const specialsOf = (
  config: Record<string, unknown>,
  vocab: Vocabulary,
  added: readonly AddedToken[],
): SpecialIds =>
  specialIds(config, (token) => added.find(({ content }) => content === token)?.id ?? vocab.get(token));

const byteLevelSchema = z.object({
  type: z.literal("ByteLevel"),
  add_prefix_space: z.literal(false),
  use_regex: z.boolean().default(true),
});

/** This post-processor adds no token. */
const postByteLevel = z.object({ type: z.literal("ByteLevel") });

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Merges over bytes and nothing else: no dropout, prefixes, suffixes, or whole words that skip the merges. */
function isPlainBpe(model: Record<string, unknown>): boolean {
  const unset = [
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "byte_fallback",
    "ignore_merges",
  ];
  return model.type === "BPE" && unset.every((field) => !model[field]);
}

/** The ids of a model's tokens. Unigram has a list of tokens; every other model gives each its id. */
function vocabularyOf({ type, vocab }: File["model"], what: string): Vocabulary {
  const isList = Array.isArray(vocab) && (type === "Unigram" || type === undefined);
  if (!isList) return vocabOf(vocab, what);
  const entries: unknown[] = vocab;
  return new Map(
    entries.flatMap((entry, id) => (Array.isArray(entry) ? [[String(entry[0]), id] as const] : [])),
  );
}

/** Not a zod record, which would leave out a token named `__proto__`. */
function vocabOf(vocab: unknown, what: string): Map<string, number> {
  if (typeof vocab !== "object" || vocab === null) throw new CorruptData(`${what} has no model.vocab`);
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isSafeInteger(id) || id < 0 || id >= MAX_VOCABULARY) {
      throw new CorruptData(
        `${what}: ids must be whole numbers below ${MAX_VOCABULARY}, got ${String(id)} for ${JSON.stringify(token)}`,
      );
    }
    ids.set(token, id);
  }
  if (ids.size === 0) throw new CorruptData(`${what} has no tokens`);
  return ids;
}

const mergesSchema = z.array(z.union([z.tuple([z.string(), z.string()]), z.string()]));

/** Merges are written as `["a", "b"]`, or `"a b"` by older versions. */
function parseMerges(merges: unknown, what: string): Merges {
  const { data } = mergesSchema.safeParse(merges);
  if (!data) throw new CorruptData(`${what}: model.merges must be a list of pairs of tokens`);
  return data.map((merge) => (typeof merge === "string" ? parseMerge(merge, what) : merge));
}

function parseMerge(merge: string, what: string): [string, string] {
  const [left, right] = merge.split(" ");
  if (left !== undefined && right !== undefined) return [left, right];
  throw new CorruptData(`${what}: a merge must be two tokens, got ${JSON.stringify(merge)}`);
}
