import { InvalidInput } from "../../protocol/errors.ts";
import { maskTokens } from "../data/masking.ts";
import { requireRows } from "./known-tokens.ts";
import { maskedTextTokens } from "./masked-text.ts";
import type { TextPredictor } from "./text-predictor.ts";

/** What windows depend on of a model. */
export type WindowedModel = Pick<TextPredictor, "config" | "tokenizer" | "userCode"> & {
  readonly family: Pick<TextPredictor["family"], "masked">;
};

/** Windows of one length, and the tokens to predict in them. */
export type WindowBatch = {
  readonly ids: Int32Array;
  readonly sequences: number;
  readonly targets: Int32Array;
  /** Indices in `ids` of the targets; null: all. */
  readonly positions: Int32Array | null;
};

/** Cuts the tokens of a text, which come in parts, into batches of windows. */
export type TextWindows = {
  /** The batches that are complete with these further tokens. */
  add(ids: readonly number[]): Generator<WindowBatch>;
  /** The windows that are left, one in a batch. */
  end(): Generator<WindowBatch>;
};

/** The share of tokens that a masked language model has to predict. */
const MASKED_SHARE = 0.15;
/** The masks of an evaluation are always the same. */
const MASK_SEED = 0;
/** A batch has so many logits, 128 MiB of them, and so many windows. */
const MAX_LOGITS = 1 << 25;
const MAX_WINDOWS = 16;

/** Returns windows of the model's context, end to end. */
export function textWindows(model: WindowedModel): TextWindows {
  const windows = model.family.masked ? maskedWindows(model) : causalWindows(model);
  return {
    ...windows,
    add(ids) {
      requireRows(model, ids, "the text");
      return windows.add(ids);
    },
  };
}

const windowsPerBatch = ({ config }: WindowedModel): number =>
  Math.max(1, Math.min(MAX_WINDOWS, Math.floor(MAX_LOGITS / (config.context * config.vocabulary))));

/** Windows of which every token but the first is predicted; the last token of one is the first of the next. */
function causalWindows(model: WindowedModel): TextWindows {
  const { config, tokenizer, userCode = false } = model;
  const start = tokenizer.encode("", { special: true });
  requireRows(model, start, "the start of a text");
  const rule: CutRule = {
    step: config.context,
    overlap: 1,
    perBatch: windowsPerBatch(model),
    start,
    wholeOnly: userCode,
  };
  return cutTokens(rule, (windows) => ({
    ids: Int32Array.from(windows.flatMap((window) => window.slice(0, -1))),
    targets: Int32Array.from(windows.flatMap((window) => window.slice(1))),
    sequences: windows.length,
    positions: null,
  }));
}

/** Windows within special tokens, of which some tokens are hidden. */
function maskedWindows(model: WindowedModel): TextWindows {
  const { config, tokenizer } = model;
  const { before, after, special, mask } = maskedTextTokens(tokenizer);
  requireRows(model, [...before, ...after, mask], "a masked text");
  const step = config.context - before.length - after.length;
  if (step < 1) throw new InvalidInput(`the model's context ${config.context} has no room for tokens`);
  const vocabulary = Math.min(tokenizer.vocabulary, config.vocabulary);
  const maskRule = { probability: MASKED_SHARE, mask, special, vocabulary };
  const rule: CutRule = { step, overlap: 0, perBatch: windowsPerBatch(model), start: [], wholeOnly: false };
  let made = 0;
  return cutTokens(rule, (windows) => {
    const ids = Int32Array.from(windows.flatMap((window) => [...before, ...window, ...after]));
    const first = made;
    made += windows.length;
    const { positions, targets } = maskTokens(ids, ids.length / windows.length, maskRule, (row) => ({
      seed: MASK_SEED,
      purpose: "heldOutMask",
      indices: [first + row],
    }));
    return { ids, sequences: windows.length, targets, positions };
  });
}

type CutRule = {
  /** Tokens from the start of a window to that of the next. */
  readonly step: number;
  /** Tokens that a window shares with the next. */
  readonly overlap: number;
  readonly perBatch: number;
  /** Tokens before the text. */
  readonly start: readonly number[];
  /** Leaves out the rest of the text that fills no window. */
  readonly wholeOnly: boolean;
};

function cutTokens(
  { step, overlap, perBatch, start, wholeOnly }: CutRule,
  batchOf: (windows: readonly (readonly number[])[]) => WindowBatch,
): TextWindows {
  const size = step + overlap;
  let rest: number[] = [...start];
  const take = () => {
    const window = rest.slice(0, size);
    rest = rest.slice(step);
    return window;
  };
  return {
    *add(ids) {
      rest = rest.concat(ids);
      while (rest.length >= perBatch * step + overlap) {
        yield batchOf(Array.from({ length: perBatch }, take));
      }
    },
    *end() {
      while (rest.length >= (wholeOnly ? size : overlap + 1)) yield batchOf([take()]);
    },
  };
}
