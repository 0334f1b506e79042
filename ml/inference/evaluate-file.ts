import { setImmediate } from "node:timers/promises";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import { areSeveral } from "../data/corpus-reader.ts";
import { partsOf } from "../data/documents.ts";
import { chunksOf } from "../data/read-chunks.ts";
import { findSources } from "../data/sources.ts";
import type { Batch } from "../models/model.ts";
import { recordedLoss } from "../models/recorded.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { TextPredictor } from "./text-predictor.ts";
import { textWindows, type WindowBatch } from "./text-windows.ts";

export type EvaluateFileOptions = {
  readonly model: TextPredictor;
  /** A text, documents, or a folder of them. */
  readonly path: string;
  /** Where a document stands in an object of JSON or a row of parquet; default: text. */
  readonly field?: string | undefined;
  readonly signal?: AbortSignal;
  /** Called with the bytes read so far and those of all files. */
  readonly onProgress?: (read: number, bytes: number) => void;
};

export type FileEvaluation = {
  /** Mean cross-entropy of the predicted tokens, in nats. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
  /** The size of the text when the model's predictions compress it; null where not all of it is predicted. */
  readonly bitsPerByte: number | null;
  /** Tokens of the text. */
  readonly tokens: number;
  /** How many of them were predicted. */
  readonly predicted: number;
  readonly bytes: number;
};

/**
 * Measures the loss of a model on a text or documents, read as a stream.
 *
 * The text's tokens are cut into windows of the model's context, end to end. A causal model predicts every token but
 * the first once, from those before it in its window; where its tokenizer has a token that begins a text, that comes
 * first, and all tokens are predicted. A masked model gets each window within its special tokens and predicts 15 % of
 * its tokens, the same ones every time, by BERT's rule (80 % hidden, 10 % replaced, 10 % left).
 *
 * @throws InvalidInput when the file can't be read, is not UTF-8, or has too few tokens
 * @throws CorruptData when the loss is not finite, and the signal's reason when it is aborted
 */
export async function evaluateFile(options: EvaluateFileOptions): Promise<FileEvaluation> {
  const { model, path, signal } = options;
  const totals = { bytes: 0, tokens: 0, predicted: 0, nats: 0 };
  const windows = textWindows(model);
  const loss = lossFunction(model);
  const consume = async (batches: Generator<WindowBatch>) => {
    for (const batch of batches) {
      await setImmediate();
      signal?.throwIfAborted();
      totals.nats += meanLoss(model, loss, batch) * batch.targets.length;
      totals.predicted += batch.targets.length;
    }
  };
  for await (const { ids, bytes } of partsOfPath(options, model.tokenizer)) {
    totals.tokens += ids.length;
    totals.bytes += bytes;
    await consume(windows.add(ids));
  }
  await consume(windows.end());
  return evaluationOf(path, totals, model);
}

type LossFunction = ReturnType<typeof recordedLoss>;

function lossFunction({ ops, family, config, userCode = false }: TextPredictor): LossFunction {
  const loss: LossFunction = (theta, batch) => family.loss(ops, config, theta, batch);
  return userCode ? loss : recordedLoss(ops, loss);
}

type Totals = { bytes: number; tokens: number; predicted: number; nats: number };

function evaluationOf(
  path: string,
  { bytes, tokens, predicted, nats }: Totals,
  { family: { masked }, config, userCode = false }: TextPredictor,
): FileEvaluation {
  if (predicted === 0) {
    const fewest = userCode ? config.context + 1 : 2;
    throw new InvalidInput(`${path} must have at least ${fewest} tokens to evaluate, got ${tokens}`);
  }
  const loss = nats / predicted;
  if (!Number.isFinite(loss)) {
    throw new CorruptData("the model's loss is not finite: its parameters are damaged or diverged");
  }
  const bitsPerByte = masked || userCode ? null : nats / Math.LN2 / bytes;
  return { loss, perplexity: Math.exp(loss), bitsPerByte, tokens, predicted, bytes };
}

type Part = { readonly ids: readonly number[]; readonly bytes: number };

/** Reads the documents of a path as training does, in parts that give the tokens of the whole. */
async function* partsOfPath(
  { path, field = "text", onProgress = () => {} }: EvaluateFileOptions,
  tokenizer: Tokenizer,
): AsyncGenerator<Part> {
  const { files } = await findSources([path], { name: path, field });
  const tokens = files.find(({ kind }) => kind === "tokens");
  if (tokens)
    throw new InvalidInput(`${tokens.name} is tokenized already; give the text that it was made from`);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const end = areSeveral(files) ? endOf(tokenizer) : null;
  let read = 0;
  const onRead = (bytes: number) => {
    read += bytes;
    onProgress(read, total);
  };
  for await (const chunk of chunksOf(files, { field, cuts: tokenizer.cuts, onRead })) {
    for (const { text, ends } of partsOf(chunk)) {
      yield { ids: tokenizer.encode(text), bytes: Buffer.byteLength(text) };
      if (ends && end !== null) yield { ids: end(text), bytes: 0 };
    }
  }
}

/** Returns the tokens after a document, as in a dataset. */
function endOf(tokenizer: Tokenizer): (text: string) => readonly number[] {
  const end = tokenizer.special.eos ?? tokenizer.special.sep;
  return (text) => {
    if (end !== null) return [end];
    return text.endsWith("\n") ? [] : tokenizer.encode("\n");
  };
}

/** The mean loss over the tokens to predict. */
function meanLoss({ ops, theta }: TextPredictor, lossFunction: LossFunction, windows: WindowBatch): number {
  const { tf } = ops;
  const { ids, sequences, targets, positions } = windows;
  const loss = tf.tidy(() => {
    const batch: Batch = {
      tokens: { ids: tf.tensor1d(ids, "int32"), sequences, length: ids.length / sequences },
      targets: tf.tensor1d(targets, "int32"),
      ...(positions && { predicted: tf.tensor1d(positions, "int32") }),
    };
    return lossFunction(theta, batch);
  });
  const value = at(loss.dataSync<"float32">(), 0, "loss");
  loss.dispose();
  return value;
}
