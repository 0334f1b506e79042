import type { AddedToken } from "./added-tokens.ts";

/** Says where a text may be cut so that the ids of its parts, one after the other, are those of the whole. */
export type CutRule = {
  /**
   * - `characters`: between any two characters
   * - `spaces`: after a lone line break between two other characters, and between a word and white space
   * - `words`: before a lone space between two words
   * - `nowhere`: the ids may depend on all that is before
   */
  readonly kind: "characters" | "spaces" | "words" | "nowhere";
  /** Tokens that are searched for in the text itself: a cut must not be in one, nor next to one. */
  readonly tokens: readonly string[];
};

type Part = Readonly<Record<string, unknown>>;

/**
 * Returns the cut rule of a tokenizer that works on words. A cut is allowed only where it can be shown to be harmless:
 * every step treats what is on both sides of it alone.
 */
export function cutRuleOf(normalizer: unknown, preTokenizer: unknown, added: readonly AddedToken[]): CutRule {
  const tokens = added.map(({ content }) => content);
  const searchedAfterwards = added.filter(({ normalized }) => normalized && asPart(normalizer) !== null);
  const mayReach = searchedAfterwards.some(
    ({ content, lstrip, rstrip }) => lstrip || rstrip || /\p{White_Space}/u.test(content),
  );
  if (mayReach) return { kind: "nowhere", tokens };
  if (normalizesAlone(normalizer, CHARACTER_NORMALIZERS) && splitsAtSpaces(preTokenizer)) {
    return { kind: "spaces", tokens };
  }
  const isHarmless = normalizesAlone(normalizer, WORD_NORMALIZERS) && splitsBeforeSpace(preTokenizer);
  return { kind: isHarmless ? "words" : "nowhere", tokens };
}

const asPart = (value: unknown): Part | null =>
  typeof value === "object" && value !== null ? (value as Part) : null;

/** Normalizers that change characters one by one, or with the combining characters after them. */
const CHARACTER_NORMALIZERS = new Set([
  "NFC",
  "NFD",
  "NFKC",
  "NFKD",
  "Lowercase",
  "StripAccents",
  "BertNormalizer",
]);

/** Normalizers that also leave alone what is on both sides of a cut before a lone space. */
const WORD_NORMALIZERS = new Set([...CHARACTER_NORMALIZERS, "Precompiled", "Strip", "Replace"]);

function normalizesAlone(normalizer: unknown, allowed: ReadonlySet<string>): boolean {
  const part = asPart(normalizer);
  if (part === null) return true;
  if (part.type === "Sequence" && Array.isArray(part.normalizers)) {
    return part.normalizers.every((each) => normalizesAlone(each, allowed));
  }
  if (!allowed.has(String(part.type))) return false;
  if (part.type === "Strip") return part.strip_left === false;
  // Of several spaces one.
  return part.type !== "Replace" || asPart(part.pattern)?.Regex === " {2,}";
}

/** A part after such a cut begins with a space, so that nothing is put before it. */
function splitsBeforeSpace(preTokenizer: unknown): boolean {
  const part = asPart(preTokenizer);
  if (part === null) return false;
  if (part.type === "Metaspace") return part.split !== false;
  if (part.type === "ByteLevel") return part.use_regex !== false;
  if (part.type !== "Sequence" || !Array.isArray(part.pretokenizers)) return false;
  const [split, mark, ...more] = part.pretokenizers.map(asPart);
  const marksEach = mark?.type === "Metaspace" && mark.prepend_scheme === "always";
  return split?.type === "WhitespaceSplit" && marksEach && more.length === 0;
}

/** A sequence splits at spaces when one part does and the parts before it look at single characters only. */
function splitsAtSpaces(preTokenizer: unknown): boolean {
  const part = asPart(preTokenizer);
  if (part === null) return false;
  const parts =
    part.type === "Sequence" && Array.isArray(part.pretokenizers) ? part.pretokenizers.map(asPart) : [part];
  const first = parts.findIndex((each) => each !== null && splitsWords(each));
  if (first === -1) return false;
  const before = parts.slice(0, first);
  const after = parts.slice(first + 1);
  return (
    before.every((each) => each !== null && CHARACTER_SPLITS.has(String(each.type))) &&
    after.every((each) => each !== null && staysInWord(each))
  );
}

const CHARACTER_SPLITS = new Set(["Digits", "Punctuation"]);

const staysInWord = (part: Part): boolean =>
  CHARACTER_SPLITS.has(String(part.type)) || part.type === "Split" || isByteLevel(part);

const isByteLevel = ({ type, add_prefix_space }: Part): boolean =>
  type === "ByteLevel" && add_prefix_space === false;

function splitsWords(part: Part): boolean {
  switch (part.type) {
    case "BertPreTokenizer":
    case "Whitespace":
    case "WhitespaceSplit":
      return true;
    case "ByteLevel":
      return isByteLevel(part) && part.use_regex !== false;
    case "Split":
      return part.behavior === "Isolated" && WORD_EXPRESSIONS.has(String(asPart(part.pattern)?.Regex));
    default:
      return false;
  }
}

const endings = (digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** The expressions of GPT-2, GPT-4 and Llama 3, Qwen 2: none joins what is on both sides of such a cut. */
const WORD_EXPRESSIONS = new Set([
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|${endings("\\p{N}{1,3}")}`,
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|${endings("\\p{N}")}`,
]);
