import {
  ByteFallbackDecoder,
  type Decoder,
  Tokenizer as Library,
  SequenceDecoder,
} from "@huggingface/tokenizers";
import { CorruptData, describe, PsError } from "../../protocol/errors.ts";
import { type AddedToken, tokenSplitter } from "./added-tokens.ts";
import { outside } from "./char.ts";
import { type CutRule, cutRuleOf } from "./cut-rule.ts";
import { withLibraryFixes } from "./library-fixes.ts";
import { exactNormalizer } from "./normalizer-fixes.ts";
import { exactPreTokenizer } from "./pre-tokenizer-fixes.ts";
import { specialIds } from "./special-tokens.ts";
import type { Tokenizer, TokenizerFiles } from "./tokenizer.ts";

/**
 * Opens a `tokenizer.json` with Hugging Face's JavaScript library: WordPiece, Unigram, BPE of other families. The ids
 * must be below MAX_VOCABULARY, as the library makes a list that is as long as the largest.
 *
 * @throws CorruptData when the library can't make a tokenizer of it
 */
export function libraryTokenizer(
  tokenizer: LibraryFile,
  config: Readonly<Record<string, unknown>>,
  files: TokenizerFiles,
  what: string,
): Tokenizer {
  const library = open({ ...DEFAULTS, ...tokenizer }, { ...config, ...IGNORED_SETTINGS }, what);
  const vocab = library.get_vocab(true);
  const ids = new Set(vocab.values());
  let vocabulary = 0;
  for (const id of ids) vocabulary = Math.max(vocabulary, id + 1);
  if (vocabulary === 0) throw new CorruptData(`${what} has no tokens`);
  const encode: Tokenizer["encode"] = (text, { special = false } = {}) =>
    text === "" && !special
      ? []
      : usable(what, () => library.encode(text, { add_special_tokens: special }).ids);
  return {
    files,
    vocabulary,
    has: (id) => ids.has(id),
    cuts: usable(what, () => cutRule(library, tokenizer)),
    special: specialIds(config, (token) => vocab.get(token)),
    encode,
    encodeTo(text, ids) {
      for (const id of encode(text)) ids.push(id);
    },
    decode(tokens, { skipSpecial = false } = {}) {
      for (const id of tokens) if (!ids.has(id)) outside(id);
      const options = { skip_special_tokens: skipSpecial };
      return tokens.length === 0 ? "" : usable(what, () => library.decode([...tokens], options));
    },
  };
}

/** A table of replacements may hold anything, so the normalizer is asked whether it keeps a space. */
function cutRule(
  { normalizer }: Library,
  { normalizer: part, pre_tokenizer, added_tokens }: LibraryFile,
): CutRule {
  const rule = cutRuleOf(part, pre_tokenizer, added_tokens);
  const keepsSpace = normalizer === null || normalizer.normalize("a a") === "a a";
  return rule.kind === "words" && !keepsSpace ? { ...rule, kind: "nowhere" } : rule;
}

/** A `tokenizer.json` whose added tokens have their final ids. */
export type LibraryFile = Readonly<Record<string, unknown>> & {
  readonly added_tokens: readonly AddedToken[];
};

/** The fields that a file may leave out and the library asks for. */
const DEFAULTS = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

/** Settings that only the library follows; the first removes spaces before punctuation. */
const IGNORED_SETTINGS = {
  clean_up_tokenization_spaces: false,
  remove_space: false,
  do_lowercase_and_remove_accent: false,
};

function open(tokenizer: LibraryFile, config: object, what: string): Library {
  const parts = withLibraryFixes(tokenizer, what);
  return usable(what, () => {
    const library = new Library(parts, config);
    library.normalizer = exactNormalizer(library.normalizer, what);
    library.pre_tokenizer = exactPreTokenizer(library.pre_tokenizer);
    library.encode_text = textEncoder(library, tokenizer.added_tokens);
    keepByteOrderMarks(library.decoder);
    return library;
  });
}

/** Runs the library, which meets some wrong parts of a file only when it uses them, with whatever error. */
function usable<T>(what: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof PsError) throw cause;
    throw new CorruptData(`${what} is not a tokenizer.json that can be used: ${describe(cause)}`, { cause });
  }
}

/** Keeps a byte order mark among the bytes, as a character of the text. */
function keepByteOrderMarks(decoder: Decoder | null): void {
  if (decoder instanceof SequenceDecoder) decoder.decoders.forEach(keepByteOrderMarks);
  if (decoder instanceof ByteFallbackDecoder) {
    decoder.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  }
}

/**
 * Returns the library's function from a text to its tokens, with added tokens found as Hugging Face's own tokenizers do:
 * first those that are not normalized, and the others in the normalized text between them.
 */
function textEncoder(library: Library, added: readonly AddedToken[]): Library["encode_text"] {
  const normalize = (text: string) => library.normalizer?.normalize(text) ?? text;
  const raw = tokenSplitter(
    patternsOf(
      added.filter(({ normalized }) => !normalized),
      (content) => content,
    ),
  );
  const normalized = tokenSplitter(
    patternsOf(
      added.filter((token) => token.normalized),
      normalize,
    ),
  );
  const encodeSection = (text: string, isFirst: boolean): string[] => {
    const words = library.pre_tokenizer?.pre_tokenize(text, { section_index: isFirst ? 0 : 1 }) ?? [text];
    return library.model(words);
  };
  return (text) => {
    if (text === null) return null;
    const tokens: string[] = [];
    for (const [i, section] of raw(text).entries()) {
      if (section.token) tokens.push(section.token.content);
      else if (section.text !== "") {
        for (const [j, part] of normalized(normalize(section.text)).entries()) {
          if (part.token) tokens.push(part.token.content);
          else if (part.text !== "")
            for (const token of encodeSection(part.text, i + j === 0)) tokens.push(token);
        }
      }
    }
    return tokens;
  };
}

const patternsOf = (tokens: readonly AddedToken[], pattern: (content: string) => string) =>
  new Map(tokens.map((token) => [pattern(token.content), token] as const).filter(([text]) => text !== ""));
