import { writeSync } from "node:fs";
import {
  type EvaluateFileOptions,
  evaluateFile,
  type FileEvaluation,
} from "../../ml/inference/evaluate-file.ts";
import { InvalidInput } from "../../protocol/errors.ts";
import { evaluateHeldOut, evaluateOwn } from "../models/job-evaluation.ts";
import {
  isModelDirectory,
  type Source,
  type SourceFlags,
  withModel,
  withTargetOf,
} from "../models/model-source.ts";
import type { Target } from "../targets/target.ts";
import { codeOfSignal, exitCodes } from "../terminal/exit.ts";
import { terminal } from "../terminal/filtered-stderr.ts";
import { count } from "../terminal/format.ts";
import { listenForInterruption } from "../terminal/interruption.ts";
import { print } from "../terminal/print.ts";

export type EvaluateFlags = SourceFlags & {
  readonly json?: boolean | undefined;
  readonly field?: string | undefined;
};

/** `ps-submit evaluate JOB_OR_DIRECTORY [FILE]`: measures how well a model predicts a text, or what its job holds out. */
export async function evaluate(
  target: Target,
  source: string,
  path: string | undefined,
  flags: EvaluateFlags,
): Promise<number> {
  const interruption = listenForInterruption();
  try {
    const model = { source, version: flags.version };
    const report =
      path === undefined
        ? heldOut(target, model)
        : onFile(target, model, { path, field: flags.field, signal: interruption.first });
    const { result, lines } = await report;
    clear();
    print(flags.json ? [JSON.stringify(result)] : lines);
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

type Report = { readonly result: object; readonly lines: string[] };

async function onFile(
  target: Target,
  model: Source,
  what: Pick<EvaluateFileOptions, "path" | "field" | "signal">,
): Promise<Report> {
  const options = { ...what, onProgress: progress() };
  const own = isModelDirectory(model.source) ? null : await onFileOfOwn(target, model, options);
  const result =
    own ?? (await withModel(target, model, (open) => evaluateFile({ ...options, model: open.model })));
  return { result, lines: linesOf(result) };
}

/** Null for a job of another model. */
const onFileOfOwn = (
  target: Target,
  { source: job, version }: Source,
  options: Omit<EvaluateFileOptions, "model">,
) =>
  withTargetOf(target, job, async (opened) => {
    const { spec } = await opened.cloud.jobs.record(job);
    return spec.model.type === "module" ? evaluateOwn(opened, job, version, options) : null;
  });

async function heldOut(target: Target, { source, version }: Source): Promise<Report> {
  if (isModelDirectory(source)) {
    throw new InvalidInput(
      `${source} is a directory, which holds out no data; name a text to evaluate it on`,
    );
  }
  const result = await withTargetOf(target, source, (opened) => evaluateHeldOut(opened, source, version));
  const what = `${count(result.sequences)} sequences or examples held out, at version ${count(result.version)}`;
  return { result, lines: [`loss           ${result.loss.toFixed(4)} on ${what}`] };
}

const linesOf = ({ loss, perplexity, bitsPerByte, tokens, predicted, bytes }: FileEvaluation): string[] => [
  `loss           ${loss.toFixed(4)} per token`,
  `perplexity     ${perplexity.toFixed(2)}`,
  ...(bitsPerByte === null ? [] : [`bits per byte  ${bitsPerByte.toFixed(4)}`]),
  `tokens         ${count(tokens)}, of which ${count(predicted)} were predicted; ${count(bytes)} bytes`,
];

const BETWEEN_MS = 200;

/** Returns a function that updates a line of progress on the terminal; it prints nothing where there is none. */
function progress(): (read: number, bytes: number) => void {
  const screen = terminal();
  let last = 0;
  return (read, bytes) => {
    const now = performance.now();
    if (screen === null || now - last < BETWEEN_MS) return;
    last = now;
    writeSync(screen, `\r${((100 * read) / bytes).toFixed(0)} % of ${count(bytes)} bytes`);
  };
}

/** Erases the line of `progress`. */
function clear(): void {
  const screen = terminal();
  if (screen !== null) writeSync(screen, "\r\u001b[K");
}
