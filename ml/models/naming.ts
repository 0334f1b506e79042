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

/** A naming without exceptions. */
export const PLAIN_NAMING: Naming = {
  prefix: "",
  spellings: [],
  copies: {},
  ignored: /^$/,
  optional: null,
  optionalPart: "",
};
