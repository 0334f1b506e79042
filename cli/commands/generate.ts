import { generate as continuePrompts, type Generated } from "../../ml/inference/generate.ts";
import { type SourceFlags, withGenerativeModel } from "../models/model-source.ts";
import type { Target } from "../targets/target.ts";
import { closedPipe } from "../terminal/closed-pipe.ts";
import { codeOfSignal, exitCodes } from "../terminal/exit.ts";
import { listenForInterruption } from "../terminal/interruption.ts";

export type GenerateFlags = SourceFlags & {
  readonly prompt: readonly string[];
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topK?: number | undefined;
  readonly topP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly stop?: readonly string[] | undefined;
  readonly seed?: number | undefined;
  readonly json?: boolean | undefined;
};

/** `ps-submit generate JOB_OR_DIRECTORY`: prints new text as it is generated; a job may still run. */
export async function generate(target: Target, source: string, flags: GenerateFlags): Promise<number> {
  const interruption = listenForInterruption();
  const signal = AbortSignal.any([interruption.first, closedPipe()]);
  const printer = new Printer(flags.prompt, flags.json === true);
  try {
    await withGenerativeModel(target, { source, version: flags.version }, async (model) => {
      const { prompt: prompts, maxNewTokens, temperature, topK = null, seed = randomSeed() } = flags;
      const { topP = 1, repetitionPenalty = 1, stop = [] } = flags;
      const sampling = { temperature, topK, topP, repetitionPenalty, seed };
      const options = { model, prompts, maxNewTokens, stop, signal, ...sampling };
      const texts = await continuePrompts(options, (fragment, prompt) => printer.add(fragment, prompt));
      printer.end(texts);
    });
    return exitCodes.succeeded;
  } catch (error) {
    if (closedPipe().aborted) return exitCodes.succeeded;
    const received = interruption.received();
    if (received === null) throw error;
    process.stdout.write("\n");
    return codeOfSignal(received);
  } finally {
    interruption.close();
  }
}

/** The first text is printed as it comes; the others, which grow beside it, when it has ended. */
class Printer {
  readonly #prompts: readonly string[];
  readonly #json: boolean;
  #unprinted: string | undefined;

  constructor(prompts: readonly string[], json: boolean) {
    this.#prompts = prompts;
    this.#json = json;
    // Printed with the first fragment: a prompt that is refused is not printed.
    this.#unprinted = prompts[0];
  }

  add(fragment: string, prompt: number): void {
    if (this.#json || prompt !== 0) return;
    process.stdout.write((this.#unprinted ?? "") + fragment);
    this.#unprinted = undefined;
  }

  end(texts: readonly Generated[]): void {
    if (this.#json) {
      for (const [i, text] of texts.entries()) {
        process.stdout.write(`${JSON.stringify({ prompt: this.#prompts[i], ...text })}\n`);
      }
      return;
    }
    process.stdout.write(`${this.#unprinted ?? ""}\n`);
    for (const [i, { text }] of texts.entries()) {
      if (i > 0) process.stdout.write(`---\n${this.#prompts[i]}${text}\n`);
    }
  }
}

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);
