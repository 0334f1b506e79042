import { InvalidInput } from "../../protocol/errors.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";

/** Returns the mask token, the tokens that stand before and after a text, and all ids that are no text. */
export function maskedTextTokens({ special, encode }: Tokenizer) {
  const { cls, sep, mask } = special;
  if (mask === null) throw new InvalidInput("the model's tokenizer must have a mask token, such as [MASK]");
  const ids = Object.values(special).filter((id) => id !== null);
  const around = encode("", { special: true });
  const before = cls !== null && around.includes(cls) ? [cls] : [];
  const after = sep !== null && around.includes(sep) ? [sep] : [];
  return { before, after, mask, special: new Set(ids) };
}
