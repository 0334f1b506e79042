import { InvalidInput } from "../../protocol/errors.ts";
import { escapePattern } from "./added-tokens.ts";
import { BYTE_CHARACTERS } from "./byte-level.ts";

/**
 * Rewrites the parts of a `tokenizer.json` that the JavaScript library and Hugging Face's own tokenizers read
 * differently, as parts that both read alike.
 *
 * @param file a whole `tokenizer.json`
 * @param what names it in errors
 * @throws InvalidInput for a part whose ids would be wrong
 */
export function withLibraryFixes(file: Part, what: string): Part {
  const { model, added_tokens: added, normalizer, pre_tokenizer: preTokenizer, decoder } = file;
  const refuse: Refuse = (field, why) => {
    throw new InvalidInput(
      `${what}: ${field} ${why}; this kind can't be used here, as its ids would be wrong`,
    );
  };
  checkModel(asPart(model), refuse);
  const single = Array.isArray(added) ? added.find((token) => asPart(token).single_word) : undefined;
  if (single) refuse("added_tokens", `must not have single_word, got it for ${asPart(single).content}`);
  return {
    ...file,
    normalizer: inSequence(normalizer, "normalizers", normalizerOf),
    pre_tokenizer: inSequence(preTokenizer, "pretokenizers", (part) => preTokenizerOf(part, refuse)),
    decoder: inSequence(decoder, "decoders", decoderOf),
  };
}

type Part = Readonly<Record<string, unknown>>;
type Refuse = (field: string, why: string) => never;

const asPart = (value: unknown): Part => (typeof value === "object" && value !== null ? (value as Part) : {});

function checkModel(model: Part, refuse: Refuse): void {
  const { type, byte_fallback: fallback, dropout, unk_token: unknown } = model;
  if (type === "Unigram" && fallback) refuse("model.byte_fallback", "must be false for Unigram, got true");
  if (dropout) refuse("model.dropout", `must be null, got ${dropout}`);
  if (type !== "BPE" || fallback || typeof unknown === "string") return;
  const vocab = asPart(model.vocab);
  const missing = BYTE_CHARACTERS.find((byte) => !Object.hasOwn(vocab, byte));
  if (missing)
    refuse("model.vocab", `must have all bytes, or model.unk_token be set, got none for "${missing}"`);
}

/** Applies `change` to a part, or to each of a sequence of them. */
function inSequence(part: unknown, field: string, change: (part: Part) => unknown): unknown {
  if (part === null || part === undefined) return null;
  const outer = asPart(part);
  const parts = outer[field];
  if (outer.type !== "Sequence" || !Array.isArray(parts)) return change(outer);
  return { ...outer, [field]: parts.map((each) => inSequence(each, field, change)) };
}

function normalizerOf(part: Part): Part {
  if (part.type !== "Strip") return part;
  const ends = [...(part.strip_left ? ["\\A\\s+"] : []), ...(part.strip_right ? ["\\s+\\z"] : [])];
  return { type: "Sequence", normalizers: ends.map((end) => replace({ Regex: end }, "")) };
}

const replace = (pattern: Part, content: string): Part => ({ type: "Replace", pattern, content });
const split = (regex: string, behavior: "Isolated" | "Removed", invert = false): Part => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior,
  invert,
});

/** `\w` as Unicode defines it. */
const LETTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D";
const PUNCTUATION = "\\p{P}\\$\\+<=>\\^`\\|~";

function preTokenizerOf(part: Part, refuse: Refuse): Part {
  switch (part.type) {
    case "Whitespace":
      return split(`[${LETTERS}]+|[^${LETTERS}\\s]+`, "Removed", true);
    case "WhitespaceSplit":
      return split("\\s+", "Removed");
    case "BertPreTokenizer":
      return split(`[^\\s${PUNCTUATION}]+|[${PUNCTUATION}]`, "Removed", true);
    case "Digits":
      return split(part.individual_digits ? "\\p{N}" : "\\p{N}+", "Isolated");
    case "Punctuation":
      return punctuation(part, refuse);
    case "Metaspace":
      return metaspace(part);
    case "Split":
      return checkedSplit(part, refuse);
    default:
      return part;
  }
}

function punctuation({ behavior = "Isolated" }: Part, refuse: Refuse): Part {
  if (behavior === "Isolated" || behavior === "Removed") return split(`[${PUNCTUATION}]`, behavior);
  if (behavior === "Contiguous") return split(`[${PUNCTUATION}]+`, "Isolated");
  return refuse("pre_tokenizer.behavior", `must be Isolated, Contiguous or Removed, got ${behavior}`);
}

function checkedSplit(part: Part, refuse: Refuse): Part {
  const { behavior, invert } = part;
  if (behavior === "Removed") return part;
  // Matches and what is between them are both kept, so inverting changes nothing.
  if (behavior === "Isolated") return { ...part, invert: invert === true ? false : invert };
  return refuse("pre_tokenizer.behavior", `must be Isolated or Removed, got ${behavior}`);
}

function metaspace(part: Part): Part {
  if (part.split === false) return part;
  const mark = escapePattern(String(part.replacement ?? "▁"));
  const words = split(`${mark}[^${mark}]*`, "Isolated");
  return { type: "Sequence", pretokenizers: [part, words] };
}

/** Replaces a decoder with which the library always drops the first space. */
function decoderOf(part: Part): Part {
  if (part.type !== "Metaspace" || part.prepend_scheme !== "never") return part;
  const spaces = replace({ String: String(part.replacement ?? "▁") }, " ");
  return { type: "Sequence", decoders: [spaces, { type: "Fuse" }] };
}
