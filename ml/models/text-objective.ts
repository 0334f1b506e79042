import { InvalidInput } from "../../protocol/errors.ts";
import { divide } from "../../protocol/freeze.ts";
import { type BatchKey, gatherWindows, heldOutStarts, splitText, trainingStarts } from "../data/batches.ts";
import type { Dataset } from "../data/dataset.ts";
import { type MaskRule, maskTokens } from "../data/masking.ts";
import type { TrainingSpec } from "../data/training-spec.ts";
import type { Stream } from "../random/streams.ts";
import { type LanguageModel, languageModelOf } from "./describe.ts";
import { type Dropout, drawDropout } from "./layers/dropout.ts";
import type { Ops } from "./layers/ops.ts";
import type { Batch, LossAndGradient, Objective } from "./model.ts";
import { recorded, recordedLoss } from "./recorded.ts";

/** The random numbers of a batch's row. */
type StreamOf = (row: number) => Stream;

/** A language model on its text: predicts what comes next, or what is hidden. */
export function textObjective(ops: Ops, spec: TrainingSpec, data: Dataset | null): Objective {
  const model = languageModelOf(spec, data);
  const { family, config, context, dataset } = model;
  const split = splitText(dataset.meta, spec.data.type === "text" ? spec.data.heldOut : 0);
  const batchOf = batchMaker(ops, spec, model);
  const frozen = divide(family.parameters(config), spec.freeze).frozen.map(({ name }) => name);
  const lossAndGradient = recorded(ops, (theta, batch) =>
    without(ops, frozen, family.lossAndGradient(ops, config, theta, batch)),
  );
  const loss = recordedLoss(ops, (theta, batch) => family.loss(ops, config, theta, batch));
  const evaluated = () => heldOutStarts(split.heldOut, context, spec.evaluateBatches * spec.batch);

  return {
    tokensPerBatch: spec.batch * context,
    lossAndGradient(theta, key) {
      const starts = trainingStarts(spec, split.training, context, key);
      const batch = batchOf(starts, trainingStream(spec, key));
      const dropout = dropoutOf(ops, spec, model, key);
      return using(ops, dropout ? { ...batch, dropout } : batch, (made) => lossAndGradient(theta, made));
    },
    heldOutLoss(theta, index) {
      const starts = evaluated().slice(index * spec.batch, (index + 1) * spec.batch);
      const batch = batchOf(starts, heldOutStream(spec, index));
      return using(ops, batch, (made) => loss(theta, made));
    },
  };
}

/** Drops the gradients of frozen parameters. A recorded program leaves out what only they need. */
function without(
  { tf }: Ops,
  frozen: readonly string[],
  { loss, gradient }: LossAndGradient,
): LossAndGradient {
  const dropped = new Set(frozen);
  tf.dispose(Object.entries(gradient).flatMap(([name, tensor]) => (dropped.has(name) ? [tensor] : [])));
  const kept = Object.entries(gradient).filter(([name]) => !dropped.has(name));
  return { loss, gradient: Object.fromEntries(kept) };
}

/** Disposes the batch after its use. */
function using<T>({ tf }: Ops, batch: Batch, compute: (batch: Batch) => T): T {
  try {
    return compute(batch);
  } finally {
    tf.dispose(batch);
  }
}

const trainingStream =
  ({ seed, batch }: TrainingSpec, { step, rank, micro }: BatchKey): StreamOf =>
  (row) => ({ seed, purpose: "mask", indices: [step, rank, micro * batch + row] });

const heldOutStream =
  ({ seed, batch }: TrainingSpec, index: number): StreamOf =>
  (row) => ({ seed, purpose: "heldOutMask", indices: [index * batch + row] });

/** Makes the windows at `starts` a batch of tensors. */
function batchMaker(ops: Ops, spec: TrainingSpec, model: LanguageModel) {
  const { context, dataset } = model;
  const rule = model.family.masked ? maskRuleOf(spec, model) : null;
  const int32 = (values: Int32Array) => ops.tf.tensor1d(values, "int32");
  return (starts: readonly number[], streamOf: StreamOf): Batch => {
    const { inputs, targets } = gatherWindows(dataset.tokens, starts, context);
    const masked = rule ? maskTokens(inputs, context, rule, streamOf) : null;
    const tokens = { ids: int32(inputs), sequences: starts.length, length: context };
    if (!masked) return { tokens, targets: int32(targets) };
    return { tokens, targets: int32(masked.targets), predicted: int32(masked.positions) };
  };
}

/** @throws InvalidInput when the tokenizer has no token that stands for a hidden one */
function maskRuleOf({ model }: TrainingSpec, { dataset, family, config }: LanguageModel): MaskRule {
  const { mask, ...others } = dataset.special;
  if (mask === null) {
    throw new InvalidInput(`tokenizer must have a mask token to train a ${family.type} model, it has none`);
  }
  const special = new Set([mask, ...Object.values(others).filter((id) => id !== null)]);
  const probability = "maskProbability" in model ? model.maskProbability : MASK_PROBABILITY;
  return { probability, mask, special, vocabulary: Math.min(dataset.meta.vocabulary, config.vocabulary) };
}

/** The share of tokens to predict, as in BERT, for a model whose job does not set it. */
const MASK_PROBABILITY = 0.15;

function dropoutOf(
  ops: Ops,
  { seed, batch }: TrainingSpec,
  { family, config, context }: LanguageModel,
  key: BatchKey,
): Dropout | undefined {
  if (!config.dropout || !family.dropout) return undefined;
  return drawDropout(ops, config.dropout, family.dropout(config, batch, context), { seed, ...key });
}
