/** The tokens with a meaning of their own, as ids; null where a tokenizer has none. */
export type SpecialIds = Readonly<Record<SpecialName, number | null>>;
export type SpecialName = (typeof SPECIAL_NAMES)[number];
export const SPECIAL_NAMES = ["eos", "bos", "pad", "mask", "cls", "sep", "unk"] as const;

export const END_OF_TEXT = "<|endoftext|>";
export const PAD = "[PAD]";
export const MASK = "[MASK]";

/** The usual spellings in Hugging Face tokenizers, for a `tokenizer.json` without a configuration beside it. */
const USUAL: Readonly<Record<SpecialName, readonly string[]>> = {
  eos: [END_OF_TEXT, "</s>", "<|end_of_text|>", "<eos>"],
  bos: ["<s>", "<|begin_of_text|>", "<bos>"],
  pad: [PAD, "<pad>", "<|pad|>"],
  mask: [MASK, "<mask>"],
  cls: ["[CLS]", "<cls>"],
  sep: ["[SEP]", "<sep>"],
  unk: ["[UNK]", "<unk>"],
};

/** Returns the `tokenizer_config.json` for a `tokenizer.json` with these special tokens. */
export function configFor(tokens: Iterable<string>): Record<string, unknown> {
  const contents = new Set(tokens);
  const named = SPECIAL_NAMES.flatMap((name) => {
    const token = USUAL[name].find((usual) => contents.has(usual));
    return token === undefined ? [] : [[`${name}_token`, token] as const];
  });
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(named),
  };
}

/** Returns the special ids that a `tokenizer_config.json` names. */
export function specialIds(
  config: Readonly<Record<string, unknown>>,
  idOf: (token: string) => number | undefined,
): SpecialIds {
  return specialIdsBy((name) => {
    const token = contentOf(config[`${name}_token`]);
    return token === undefined ? null : (idOf(token) ?? null);
  });
}

/** Builds the record of all special ids from a function of their names. */
export const specialIdsBy = (idOf: (name: SpecialName) => number | null): SpecialIds => ({
  eos: idOf("eos"),
  bos: idOf("bos"),
  pad: idOf("pad"),
  mask: idOf("mask"),
  cls: idOf("cls"),
  sep: idOf("sep"),
  unk: idOf("unk"),
});

/** Returns the text of a token that a configuration writes as text or as `{ "content": text }`. */
export function contentOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  if (typeof token !== "object" || token === null || !("content" in token)) return undefined;
  return typeof token.content === "string" ? token.content : undefined;
}
