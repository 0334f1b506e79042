import { InvalidInput } from "../../protocol/errors.ts";
import { bert } from "./bert.ts";
import type { Family } from "./family.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";

/** The families of language models that this project has. */
const FAMILIES: readonly Family[] = [gpt2, llama, bert];

/** True for the type of a language model that this project has. */
export const isFamily = (modelType: string): boolean => FAMILIES.some(({ type }) => type === modelType);

/** @throws InvalidInput for a type that is not a language model of this project */
export function familyOf(modelType: string): Family {
  const family = FAMILIES.find(({ type }) => type === modelType);
  if (family) return family;
  const types = FAMILIES.map(({ type }) => `"${type}"`);
  throw new InvalidInput(`model.type must be ${types.join(" or ")}, got "${modelType}"`);
}
