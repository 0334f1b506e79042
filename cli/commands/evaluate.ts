import { evaluateFile, type FileEvaluation } from "../../worker/evaluate-file.ts";
import { codeOfSignal, exitCodes } from "../exit.ts";
import { count } from "../format.ts";
import { listenForInterruption } from "../interruption.ts";
import { type SourceFlags, withModel } from "../model-source.ts";
import { say } from "../say.ts";

export type EvaluateFlags = SourceFlags & { readonly json?: boolean | undefined };

/** `ps-submit evaluate JOB_OR_DIRECTORY FILE`: how well a model predicts a text. */
export async function evaluate(source: string, path: string, flags: EvaluateFlags): Promise<number> {
  const interruption = listenForInterruption();
  try {
    const result = await withModel(source, flags, ({ model }) =>
      evaluateFile({ model, path, signal: interruption.first, onProgress: progress() }),
    );
    clear();
    say(flags.json ? [JSON.stringify(result)] : lines(result));
    return exitCodes.succeeded;
  } catch (error) {
    clear();
    const signal = interruption.received();
    if (signal === null) throw error;
    return codeOfSignal(signal);
  } finally {
    interruption.close();
  }
}

const lines = ({ loss, perplexity, bitsPerByte, tokens, predicted, bytes }: FileEvaluation): string[] => [
  `loss           ${loss.toFixed(4)} per token`,
  `perplexity     ${perplexity.toFixed(2)}`,
  ...(bitsPerByte === null ? [] : [`bits per byte  ${bitsPerByte.toFixed(4)}`]),
  `tokens         ${count(tokens)}, of which ${count(predicted)} were predicted; ${count(bytes)} bytes`,
];

const BETWEEN_MS = 200;

/** A line on the terminal that is written over; none where standard error is no terminal. */
function progress(): (read: number, bytes: number) => void {
  let last = 0;
  return (read, bytes) => {
    const now = performance.now();
    if (!process.stderr.isTTY || now - last < BETWEEN_MS) return;
    last = now;
    process.stderr.write(`\r${((100 * read) / bytes).toFixed(0)} % of ${count(bytes)} bytes`);
  };
}

/** Erases the line of `progress`. */
function clear(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
}
