/**
 * How the tensors of a Hugging Face file may be named apart from the names that a family's parameters have: those
 * of `transformers`' class with the language model's head.
 */
export type Naming = {
  /** What the names of the base model (no head) lack. */
  readonly prefix: string;
  /** Old spellings. */
  readonly spellings: readonly (readonly [RegExp, string])[];
  /** Tensors that are another's copy, and of which. */
  readonly copies: Readonly<Record<string, string>>;
  /** Tensors that are no parameters of the language model: buffers, and heads for other uses. */
  readonly ignored: RegExp;
  /** Parameters that a checkpoint may do without: they start afresh. */
  readonly optional: RegExp | null;
  /** What the optional ones are, for people. */
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
 * The parameter that a stored tensor is meant for, by name; the tensor's own name when there is none.
 *
 * @param known whether the model has a parameter, or a copy, of a name
 */
export function canonicalName(name: string, naming: Naming, known: (name: string) => boolean): string {
  const spelled = naming.spellings.reduce((now, [old, right]) => now.replace(old, right), name);
  const full = `${naming.prefix}${spelled}`;
  if (known(spelled) || naming.ignored.test(spelled)) return spelled;
  return known(full) || naming.ignored.test(full) ? full : spelled;
}
