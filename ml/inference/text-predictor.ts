import type { LanguageModel } from "./language-model.ts";

/** What an evaluation needs of a model to measure how well it predicts a text. */
export type TextPredictor = Pick<LanguageModel, "ops" | "theta" | "tokenizer" | "config"> & {
  readonly family: Pick<LanguageModel["family"], "masked" | "loss">;
  /**
   * The code of a user. It gets whole windows only, as in training, so the rest of a text is not predicted; and it runs
   * as it is, since a recording would miss what it does beside tensors.
   */
  readonly userCode?: boolean;
};
