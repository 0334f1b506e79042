import { setImmediate } from "node:timers/promises";
import { TextDecoder } from "node:util";
import { CorruptData, InvalidInput } from "../../protocol/errors.ts";
import { at } from "../../protocol/required.ts";
import { chunksOf } from "../data/read-chunks.ts";
import { findSources } from "../data/sources.ts";
import type { Batch } from "../models/model.ts";
import { recordedLoss } from "../models/recorded.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { TextPredictor } from "./text-predictor.ts";
import { textWindows, type WindowBatch } from "./text-windows.ts";

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
  /** The size of the text when the model's predictions compress it; null where not all of it is predicted. */
  readonly bitsPerByte: number | null;
  /** Tokens of the text. */
  readonly tokens: number;
  /** How many of them were predicted. */
  readonly predicted: number;
  readonly bytes: number;
};

/**
 * Measures the loss of a model on a text, read as a stream.
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
  for await (const { text, read, bytes } of textOf(path, model.tokenizer)) {
    const ids = model.tokenizer.encode(text);
    totals.tokens += ids.length;
    await consume(windows.add(ids));
    totals.bytes = read;
    options.onProgress?.(read, bytes);
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

/** Reads the text of a file in chunks that give the tokens of the whole. */
async function* textOf(
  path: string,
  { cuts }: Tokenizer,
): AsyncGenerator<{ text: string; read: number; bytes: number }> {
  const [file, ...more] = await findSources([path], path);
  if (!file || more.length > 0) throw new InvalidInput(`${path} must be one text file`);
  let read = 0;
  for await (const chunk of chunksOf([{ ...file, kind: "text" }], { field: "", cuts })) {
    if (chunk.kind !== "text") continue;
    read += chunk.bytes.length;
    yield { text: decode(chunk.bytes, path), read, bytes: file.bytes };
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
