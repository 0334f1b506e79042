import { InvalidInput } from "../../protocol/errors.ts";
import type { Range } from "../../protocol/layout.ts";
import { uniformBelow } from "../random/streams.ts";
import type { TextMeta, Tokens } from "./dataset.ts";
import type { TrainingSpec } from "./training-spec.ts";

/** Names a micro-batch of a job. Its data is a pure function of the job and this. */
export type BatchKey = { readonly step: number; readonly rank: number; readonly micro: number };

/** The fields of a job that decide which data a batch is made of. */
export type BatchPlan = Pick<TrainingSpec, "seed" | "order" | "batch" | "accumulation" | "ranks">;

/** Returns a number below `choices` for each row of a micro-batch: independent of each other, or one after the other. */
export function rowsOf(plan: BatchPlan, choices: number, { step, rank, micro }: BatchKey): number[] {
  const { seed, order, batch, accumulation, ranks } = plan;
  return Array.from({ length: batch }, (_, i) => {
    const row = micro * batch + i;
    if (order === "sequential") return ((step * ranks + rank) * accumulation * batch + row) % choices;
    return uniformBelow(choices, { seed, purpose: "batch", indices: [step, rank, row] });
  });
}

/** Tokens of a text, and how many of them its files hold out. */
export type TextLength = Pick<TextMeta, "tokens" | "heldOut">;

/** The tokens of a text that are for training, from its start, and those held out, from its end. */
export type Split = { readonly training: Range; readonly heldOut: Range };

/**
 * Cuts where the text's files do, else as nanoGPT does: the first `1 - heldOut` of the tokens, rounded down, are for
 * training.
 */
export function splitText({ tokens, heldOut: own }: TextLength, heldOut: number): Split {
  const cut = own === undefined ? Math.floor(tokens * (1 - heldOut)) : tokens - own;
  return { training: { start: 0, end: cut }, heldOut: { start: cut, end: tokens } };
}

/**
 * Checks that a text is long enough for a job's context.
 *
 * @param context tokens of a training sequence; default: what the job says
 * @throws InvalidInput naming the field and the numbers
 */
export function checkText(
  { data, model, evaluateEvery }: Pick<TrainingSpec, "data" | "model" | "evaluateEvery">,
  text: TextLength,
  context: number | undefined = contextOf(model),
): void {
  if (data.type !== "text" || context === undefined) return;
  const { training, heldOut } = splitText(text, data.heldOut);
  const split =
    text.heldOut === undefined ? `data.heldOut is ${data.heldOut}` : `${text.heldOut} of them are held out`;
  const problem = (part: string, range: Range) =>
    `model.context must be below the number of ${part} tokens ${range.end - range.start}, got ${context}: ` +
    `data.path has ${text.tokens} tokens and ${split}`;
  const problems: string[] = [];
  if (training.end - training.start <= context) problems.push(problem("training", training));
  if (evaluateEvery > 0 && heldOut.end - heldOut.start <= context) {
    problems.push(problem("held-out", heldOut));
  }
  if (problems.length > 0) throw new InvalidInput(problems);
}

const contextOf = (model: TrainingSpec["model"]): number | undefined =>
  "context" in model ? model.context : undefined;

/** Returns the first tokens of a micro-batch's training windows, each of `context + 1` tokens. */
export function trainingStarts(
  plan: BatchPlan,
  { start, end }: Range,
  context: number,
  key: BatchKey,
): number[] {
  const last = end - start - context;
  if (plan.order === "random") return rowsOf(plan, last, key).map((offset) => start + offset);
  // Neighbouring windows share one token: the last target of one is the first input of the next.
  const windows = Math.floor((end - start - 1) / context);
  return rowsOf(plan, windows, key).map((window) => start + window * context);
}

/** Returns the first tokens of `windows` held-out windows, spread evenly from the first possible position to the last. */
export function heldOutStarts({ start, end }: Range, context: number, windows: number): number[] {
  const last = end - start - context - 1;
  return Array.from({ length: windows }, (_, i) => start + Math.floor((i * last) / Math.max(1, windows - 1)));
}

export type TokenBatch = {
  /** [rows * context], row after row. */
  readonly inputs: Int32Array;
  /** The token after each input. */
  readonly targets: Int32Array;
};

/** Copies the windows that begin at `starts` out of a text. */
export function gatherWindows(
  tokens: Pick<Tokens, "read">,
  starts: readonly number[],
  context: number,
): TokenBatch {
  const inputs = new Int32Array(starts.length * context);
  const targets = new Int32Array(starts.length * context);
  const window = new Int32Array(context + 1);
  for (const [row, start] of starts.entries()) {
    tokens.read(start, window);
    inputs.set(window.subarray(0, context), row * context);
    targets.set(window.subarray(1), row * context);
  }
  return { inputs, targets };
}
