/**
 * The names that the tensors of a Hugging Face file may have besides those of the family's parameters, which are the
 * names in `transformers`' class with the language model's head.
 */
export type Naming = {
  /** Missing from the names of a base model, which has no head. */
  readonly prefix: string;
  /** Old spellings. */
  readonly spellings: readonly (readonly [RegExp, string])[];
  /** Names of tensors that are copies, and of which parameter. */
  readonly copies: Readonly<Record<string, string>>;
  /** Tensors that are no parameters of the language model: buffers, and heads for other uses. */
  readonly ignored: RegExp;
  /** Parameters that a checkpoint may lack; they start with drawn values. */
  readonly optional: RegExp | null;
  /** The optional ones in words, for people. */
  readonly optionalPart: string;
};

const plain = { spellings: [], copies: {}, ignored: /^$/, optional: null, optionalPart: "" };

const namings: Readonly<Record<string, Naming>> = {
  gpt2: {
    ...plain,
    prefix: "transformer.",
    copies: { "lm_head.weight": "transformer.wte.weight" },
    ignored: /^transformer\.h\.\d+\.attn\.(bias|masked_bias)$/,
  },
  llama: {
    ...plain,
    prefix: "model.",
    copies: { "lm_head.weight": "model.embed_tokens.weight" },
    ignored: /\.rotary_emb\.inv_freq$/,
  },
  bert: {
    prefix: "bert.",
    spellings: [
      [/\.LayerNorm\.gamma$/, ".LayerNorm.weight"],
      [/\.LayerNorm\.beta$/, ".LayerNorm.bias"],
    ],
    copies: {
      "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
      "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    ignored: /^(bert\.embeddings\.position_ids|bert\.pooler\..+|cls\.seq_relationship\..+)$/,
    optional: /^cls\.predictions\./,
    optionalPart: "masked language model's head",
  },
};

export const namingOf = (modelType: string): Naming => namings[modelType] ?? { ...plain, prefix: "" };

/**
 * Returns the name of the parameter that a stored tensor is meant for; the tensor's own name when there is none.
 *
 * @param isName true for a name of a parameter, or of a copy
 */
export function canonicalName(name: string, naming: Naming, isName: (name: string) => boolean): string {
  const spelled = naming.spellings.reduce((now, [old, right]) => now.replace(old, right), name);
  const full = `${naming.prefix}${spelled}`;
  if (isName(spelled) || naming.ignored.test(spelled)) return spelled;
  return isName(full) || naming.ignored.test(full) ? full : spelled;
}
