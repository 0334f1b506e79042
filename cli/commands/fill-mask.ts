import { fillMask as guess } from "../../ml/inference/fill-mask.ts";
import { type SourceFlags, withModel } from "../models/model-source.ts";
import type { Target } from "../targets/target.ts";
import { exitCodes } from "../terminal/exit.ts";
import { print } from "../terminal/print.ts";

export type FillMaskFlags = SourceFlags & { readonly topK: number; readonly json?: boolean | undefined };

/** `ps-submit fill-mask JOB_OR_DIRECTORY TEXT`: prints the guesses of a masked language model for each mask. */
export async function fillMask(
  target: Target,
  source: string,
  text: string,
  flags: FillMaskFlags,
): Promise<number> {
  return withModel(target, { source, version: flags.version }, async ({ model }) => {
    const guesses = guess(model, text, flags.topK);
    if (flags.json) print([JSON.stringify(guesses)]);
    else {
      for (const [mask, likeliest] of guesses.entries()) {
        if (guesses.length > 1) print([`mask ${mask + 1}`]);
        const width = Math.max(...likeliest.map(({ text }) => text.length));
        print(likeliest.map(({ text, probability }) => `${text.padEnd(width)}  ${probability.toFixed(4)}`));
      }
    }
    return exitCodes.succeeded;
  });
}
