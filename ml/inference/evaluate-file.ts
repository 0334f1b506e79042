import { setImmediate } from "node:timers/promises";
import { TextDecoder } from "node:util";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { piecesOf } from "../data/chunks.ts";
import { maskTokens } from "../data/masking.ts";
import { findSources } from "../data/sources.ts";
import type { Batch } from "../models/model.ts";
import { recordedLoss } from "../models/recorded.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { LanguageModel } from "./language-model.ts";

/** What is needed of a model to know how well it predicts a text. */
export type TextPredictor = Pick<LanguageModel, "ops" | "theta" | "tokenizer" | "config"> & {
  readonly family: Pick<LanguageModel["family"], "masked" | "loss">;
  /**
   * Someone's own code: it is given windows as in training only, so that what is left at the end of a text is not
   * predicted, and is run as it is, since a recording would not see all that it may do.
   */
  readonly userCode?: boolean;
};

export type EvaluateFileOptions = {
  readonly model: TextPredictor;
  /** A UTF-8 text. */
  readonly path: string;
  readonly signal?: AbortSignal;
  /** Called with the bytes read so far and those of the file. */
  readonly onProgress?: (read: number, bytes: number) => void;
};

export type FileEvaluation = {
  /** Mean cross-entropy of the predicted tokens, in nats. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
  /** What the text takes when the model's predictions compress it; null where not all of it is predicted. */
  readonly bitsPerByte: number | null;
  /** Of the text. */
  readonly tokens: number;
  /** How many of them were predicted. */
  readonly predicted: number;
  readonly bytes: number;
};

/** Share of tokens that a masked language model has to predict. */
const MASKED_SHARE = 0.15;
/** The masks of an evaluation are always the same. */
const MASK_SEED = 0;
/** So many logits are computed at once, 128 MiB of them. */
const LOGITS = 1 << 25;
const MAX_WINDOWS = 16;

/**
 * The loss of a model on a text, read as a stream.
 *
 * The text's tokens are cut into windows of the model's context, end to end. A model that predicts what comes next
 * predicts every token but the first once, from those before it in its window (a tokenizer with a token that begins a
 * text puts it first, and then all are predicted). One that predicts hidden tokens is given each window within its
 * special tokens, and predicts 15 % of its tokens, the same ones every time, by BERT's rule (80 % hidden, 10 %
 * replaced, 10 % left).
 *
 * @throws InvalidInput when the file can't be read, is not UTF-8, or has too few tokens
 * @throws CorruptData when the loss is not finite, and the signal's reason when it is aborted
 */
export async function evaluateFile(options: EvaluateFileOptions): Promise<FileEvaluation> {
  const { model, path, signal } = options;
  const count = { bytes: 0, tokens: 0, predicted: 0, nats: 0 };
  const windows = model.family.masked ? maskedWindows(model) : causalWindows(model);
  const lossOn = lossOnBatch(model);
  const consume = async (batches: Generator<WindowBatch>) => {
    for (const batch of batches) {
      await setImmediate();
      signal?.throwIfAborted();
      count.nats += lossOf(model, lossOn, batch) * batch.targets.length;
      count.predicted += batch.targets.length;
    }
  };
  for await (const { text, read, bytes } of textOf(path)) {
    const ids = model.tokenizer.encode(text);
    count.tokens += ids.length;
    await consume(windows.add(ids));
    count.bytes = read;
    options.onProgress?.(read, bytes);
  }
  await consume(windows.end());
  return resultOf(path, count, model);
}

type Loss = ReturnType<typeof recordedLoss>;

function lossOnBatch({ ops, family, config, userCode = false }: TextPredictor): Loss {
  const compute: Loss = (theta, batch) => family.loss(ops, config, theta, batch);
  return userCode ? compute : recordedLoss(ops, compute);
}

type Count = { bytes: number; tokens: number; predicted: number; nats: number };

function resultOf(
  path: string,
  { bytes, tokens, predicted, nats }: Count,
  { family: { masked }, config, userCode = false }: TextPredictor,
): FileEvaluation {
  if (predicted === 0) {
    const least = userCode ? config.context + 1 : 2;
    throw new InvalidInput(`${path} must have at least ${least} tokens to evaluate, got ${tokens}`);
  }
  const loss = nats / predicted;
  if (!Number.isFinite(loss)) {
    throw new CorruptData("the model's loss is not finite: its parameters are damaged or diverged");
  }
  const bitsPerByte = masked || userCode ? null : nats / Math.LN2 / bytes;
  return { loss, perplexity: Math.exp(loss), bitsPerByte, tokens, predicted, bytes };
}

/** The text of a file, in pieces that give the tokens of the whole. */
async function* textOf(path: string): AsyncGenerator<{ text: string; read: number; bytes: number }> {
  const [file, ...more] = await findSources([path], path);
  if (!file || more.length > 0) throw new InvalidInput(`${path} must be one text file`);
  let read = 0;
  for await (const piece of piecesOf([{ ...file, kind: "text" }], "")) {
    if (piece.kind !== "text") continue;
    read += piece.bytes.length;
    yield { text: decode(piece.bytes, path), read, bytes: file.bytes };
  }
}

function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const fix = "convert it, for example with: iconv -f ISO-8859-1 -t UTF-8";
    throw new InvalidInput(`${path} is not UTF-8 text; ${fix}`, { cause });
  }
}

/** Windows of one length, and what to predict in them. */
type WindowBatch = {
  readonly ids: Int32Array;
  readonly sequences: number;
  readonly targets: Int32Array;
  /** Where the targets are in `ids`; null: everywhere. */
  readonly places: Int32Array | null;
};

type Windows = {
  /** The batches that these further tokens make whole. */
  add(ids: readonly number[]): Generator<WindowBatch>;
  /** The windows that are left. */
  end(): Generator<WindowBatch>;
};

const windowsAtOnce = ({ config }: TextPredictor): number =>
  Math.max(1, Math.min(MAX_WINDOWS, Math.floor(LOGITS / (config.context * config.vocabulary))));

/**
 * Cuts tokens into runs of `step`, and makes batches of them.
 *
 * @param overlap tokens that a run shares with the next one
 */
function cut(
  {
    step,
    overlap,
    atOnce,
    start,
    whole = false,
  }: { step: number; overlap: number; atOnce: number; start: readonly number[]; whole?: boolean | undefined },
  batchOf: (runs: readonly (readonly number[])[]) => WindowBatch,
): Windows {
  let rest: number[] = [...start];
  const take = () => {
    const run = rest.slice(0, step + overlap);
    rest = rest.slice(step);
    return run;
  };
  return {
    *add(ids) {
      rest = rest.concat(ids);
      while (rest.length >= atOnce * step + overlap) yield batchOf(Array.from({ length: atOnce }, take));
    },
    *end() {
      while (rest.length >= (whole ? step + overlap : overlap + 1)) yield batchOf([take()]);
    },
  };
}

function causalWindows(model: TextPredictor): Windows {
  const { config, tokenizer, userCode: whole } = model;
  const start = tokenizer.encode("", { special: true });
  return cut({ step: config.context, overlap: 1, atOnce: windowsAtOnce(model), start, whole }, (runs) => ({
    ids: Int32Array.from(runs.flatMap((run) => run.slice(0, -1))),
    targets: Int32Array.from(runs.flatMap((run) => run.slice(1))),
    sequences: runs.length,
    places: null,
  }));
}

function maskedWindows(model: TextPredictor): Windows {
  const { config, tokenizer } = model;
  const { before, after, special, mask } = specialsOf(tokenizer);
  const step = config.context - before.length - after.length;
  if (step < 1) throw new InvalidInput(`the model's context ${config.context} has no room for tokens`);
  const rule = { probability: MASKED_SHARE, mask, special, vocabulary: tokenizer.vocabulary };
  let window = 0;
  return cut({ step, overlap: 0, atOnce: windowsAtOnce(model), start: [] }, (runs) => {
    const ids = Int32Array.from(runs.flatMap((run) => [...before, ...run, ...after]));
    const first = window;
    window += runs.length;
    const masked = maskTokens(ids, ids.length / runs.length, rule, (row) => ({
      seed: MASK_SEED,
      purpose: "heldOutMask",
      indices: [first + row],
    }));
    return { ids, sequences: runs.length, ...masked };
  });
}

/** What a tokenizer puts around a text, and its ids that are no text. */
export function specialsOf({ special, encode }: Tokenizer) {
  const { cls, sep, mask } = special;
  if (mask === null) throw new InvalidInput("the model's tokenizer must have a mask token, such as [MASK]");
  const ids = Object.values(special).filter((id) => id !== null);
  const around = encode("", { special: true });
  const before = cls !== null && around.includes(cls) ? [cls] : [];
  const after = sep !== null && around.includes(sep) ? [sep] : [];
  return { before, after, mask, special: new Set(ids) };
}

/** The mean loss over the tokens to predict. */
function lossOf({ ops, theta }: TextPredictor, lossOn: Loss, windows: WindowBatch): number {
  const { tf } = ops;
  const { ids, sequences, targets, places } = windows;
  const loss = tf.tidy(() => {
    const batch: Batch = {
      tokens: { ids: tf.tensor1d(ids, "int32"), sequences, length: ids.length / sequences },
      targets: tf.tensor1d(targets, "int32"),
      ...(places && { places: tf.tensor1d(places, "int32") }),
    };
    return lossOn(theta, batch);
  });
  const value = loss.dataSync<"float32">()[0] ?? Number.NaN;
  loss.dispose();
  return value;
}
