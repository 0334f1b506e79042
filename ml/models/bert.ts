import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import {
  type BertPlace,
  bertBlock,
  bertBlockDropout,
  normalize,
  normalizeBackward,
  type Place,
  project,
  projectBackward,
} from "./bert-block.ts";
import { forwardBlocks, throughBlocks } from "./blocks.ts";
import type { TokenIds } from "./config.ts";
import { biasedBackward, dense } from "./dense.ts";
import { type DropoutPlaces, drop } from "./dropout.ts";
import { geluErf, geluErfWithSlope } from "./gelu-erf.ts";
import {
  type Batch,
  type LossAndGradient,
  type ModelParameter,
  type Tensors,
  type Tokens,
  tensorOf,
} from "./model.ts";
import { columnSums, crossEntropy, lookUpBackward, type Ops } from "./ops.ts";
import { wordsBackward } from "./words.ts";

/**
 * BERT (Devlin et al. 2019) as `BertForMaskedLM` of Hugging Face's transformers has it: the same names, layouts and
 * initial distributions. The output projection is the token embedding and is not stored twice.
 */
export type Bert = {
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  /** Width of the feed-forward layer. */
  readonly hidden: number;
  readonly context: number;
  readonly vocabulary: number;
  /** Token types: parts of a pair that are told apart. */
  readonly types: number;
  readonly epsilon: number;
  /** Standard deviation of the initial weights. */
  readonly deviation: number;
  /** The token whose embedding is not trained by being read; null: none. */
  readonly padding: number | null;
  readonly special?: TokenIds;
  /** Share of elements left out in training. */
  readonly dropout: number;
  /** Keep only each block's input for the backward pass, and run the block once more there; left out: no. */
  readonly recompute?: boolean;
};

const EMBEDDINGS = "bert.embeddings";
const WORDS = `${EMBEDDINGS}.word_embeddings.weight`;
const POSITIONS = `${EMBEDDINGS}.position_embeddings.weight`;
const TYPES = `${EMBEDDINGS}.token_type_embeddings.weight`;
const HEAD = "cls.predictions";
const BIAS = `${HEAD}.bias`;
const blockName = (layer: number): string => `bert.encoder.layer.${layer}`;

export function bertParameters(model: Bert): ModelParameter[] {
  const { layers, width, hidden, context, vocabulary, types, deviation, padding } = model;
  const zeros = (name: string, length: number): ModelParameter => ({
    name,
    shape: [length],
    init: { type: "zeros" },
  });
  const matrix = (name: string, rows: number, columns: number): ModelParameter => ({
    name,
    shape: [rows, columns],
    init: { type: "normal", deviation, zeroRow: name === WORDS ? padding : null },
  });
  const norm = (name: string): ModelParameter[] => [
    { name: `${name}.weight`, shape: [width], init: { type: "ones" } },
    zeros(`${name}.bias`, width),
  ];
  const layer = (name: string, outputs: number, inputs: number) => [
    matrix(`${name}.weight`, outputs, inputs),
    zeros(`${name}.bias`, outputs),
  ];
  const blocks = Array.from({ length: layers }, (_, i) => blockName(i)).flatMap((block) => [
    ...["query", "key", "value"].flatMap((name) => layer(`${block}.attention.self.${name}`, width, width)),
    ...layer(`${block}.attention.output.dense`, width, width),
    ...norm(`${block}.attention.output.LayerNorm`),
    ...layer(`${block}.intermediate.dense`, hidden, width),
    ...layer(`${block}.output.dense`, width, hidden),
    ...norm(`${block}.output.LayerNorm`),
  ]);
  return [
    matrix(WORDS, vocabulary, width),
    matrix(POSITIONS, context, width),
    matrix(TYPES, types, width),
    ...norm(`${EMBEDDINGS}.LayerNorm`),
    ...blocks,
    ...layer(`${HEAD}.transform.dense`, width, width),
    ...norm(`${HEAD}.transform.LayerNorm`),
    zeros(BIAS, vocabulary),
  ];
}

/** Where BERT drops what, for B sequences of T tokens. */
export function bertDropout(
  { layers, heads, width }: Bert,
  sequences: number,
  length: number,
): DropoutPlaces {
  const groups = { sequences, length, heads, keyValueHeads: heads };
  const blocks = Array.from({ length: layers }, (_, i) => bertBlockDropout(blockName(i), groups, width));
  return Object.assign({ [EMBEDDINGS]: [sequences * length, width] }, ...blocks);
}

/** What all blocks share, made once per pass. */
type Shared = Omit<BertPlace, "prefix">;

function sharedOf(
  ops: Ops,
  model: Bert,
  theta: Tensors,
  { tokens, dropout }: Pick<Batch, "tokens" | "dropout">,
): Shared {
  const { sequences, length } = tokens;
  const { heads, epsilon } = model;
  const mask = tokens.mask ? paddingMask(ops, tokens.mask) : null;
  const shape = { sequences, length, heads, keyValueHeads: heads };
  return { ops, theta, shape, epsilon, mask, dropout };
}

/** [B, T] of 1 and 0 -> what is added to the scores, [B, 1, 1, T]. */
const paddingMask = ({ tf }: Ops, mask: Tensor2D): Tensor =>
  tf.tidy(() => tf.reshape(tf.mul(tf.sub(1, mask), -1e9), [mask.shape[0], 1, 1, mask.shape[1]]));

const at = <T extends Shared | Place>(shared: T, prefix: string) => ({ ...shared, prefix });

const blocksOf = (shared: Shared, { layers }: Bert) =>
  Array.from({ length: layers }, (_, layer) => bertBlock(at(shared, blockName(layer))));

/** Token, position and type embeddings added and normalized, [B T, C]. */
function embed(shared: Shared, { ids, sequences, length, types }: Tokens) {
  const { ops, theta, dropout } = shared;
  const { tf } = ops;
  return tf.tidy(() => {
    const words = tf.gather(tensorOf(theta, WORDS), ids);
    const table = tensorOf(theta, TYPES);
    const typed = tf.add(words, types ? tf.gather(table, types) : tf.slice(table, 0, 1));
    const positions = tf.slice(tensorOf(theta, POSITIONS), 0, length);
    const sum = tf.add(tf.reshape(typed, [sequences, length, -1]), positions);
    const { y, ...norm } = normalize(at(shared, EMBEDDINGS), "LayerNorm", tf.reshape(sum, words.shape));
    return { y: drop(ops, y, EMBEDDINGS, dropout), norm };
  });
}

function embedBackward(
  shared: Shared,
  model: Bert,
  dy: Tensor,
  norm: ReturnType<typeof embed>["norm"],
  { ids, sequences, length, types }: Tokens,
): Record<string, Tensor> {
  const { ops, dropout } = shared;
  const { tf } = ops;
  return tf.tidy(() => {
    const dSum = drop(ops, dy, EMBEDDINGS, dropout);
    const { dx, gradient } = normalizeBackward(at(shared, EMBEDDINGS), "LayerNorm", dSum, norm);
    const perPosition = tf.sum(tf.reshape(dx, [sequences, length, -1]), 0);
    return {
      ...gradient,
      [WORDS]: wordsBackward(ops, dx, ids, model),
      // Positions and types that no token had have no gradient.
      [POSITIONS]: padRows(ops, perPosition, model.context),
      [TYPES]: types
        ? lookUpBackward(ops, dx, types, model.types)
        : padRows(ops, tf.reshape(columnSums(ops, dx), [1, -1]), model.types),
    };
  });
}

const padRows = ({ tf }: Ops, x: Tensor, rows: number): Tensor =>
  tf.pad(x, [
    [0, rows - (x.shape[0] ?? 0)],
    [0, 0],
  ]);

/** The logits of every token, [B T, V]. */
export const bertLogits = (ops: Ops, model: Bert, theta: Tensors, tokens: Tokens): Tensor2D =>
  ops.tf.tidy(() => {
    const shared = sharedOf(ops, model, theta, { tokens });
    return head(shared, encode(shared, model, tokens)).logits as Tensor2D;
  });

/** The last block's output, [B T, C]. */
function encode(shared: Shared, model: Bert, tokens: Tokens): Tensor {
  return throughBlocks(shared.ops, blocksOf(shared, model), embed(shared, tokens).y);
}

/** The masked language model's head over rows [M, C], and what its backward function needs. */
function head(shared: Shared, x: Tensor) {
  const { ops, theta } = shared;
  const place = at(shared, `${HEAD}.transform`);
  const hidden = project(place, "dense", x);
  const norm = normalize(place, "LayerNorm", geluErf(ops, hidden));
  return { logits: dense(ops, norm.y, tensorOf(theta, WORDS), tensorOf(theta, BIAS)), norm, hidden };
}

/** Mean cross-entropy of the tokens to predict, without a gradient. */
export function bertLoss(ops: Ops, model: Bert, theta: Tensors, { tokens, targets, places }: Batch): Scalar {
  return ops.tf.tidy(() => {
    const shared = sharedOf(ops, model, theta, { tokens });
    const x = encode(shared, model, tokens);
    return crossEntropy(ops, head(shared, places ? ops.tf.gather(x, places) : x).logits, targets).loss;
  });
}

/** Mean cross-entropy of the tokens to predict and its gradient for every parameter. */
export function bertLossAndGradient(ops: Ops, model: Bert, theta: Tensors, batch: Batch): LossAndGradient {
  const { tf } = ops;
  return tf.tidy(() => {
    const shared = sharedOf(ops, model, theta, batch);
    const embedded = embed(shared, batch.tokens);
    const blocks = forwardBlocks(ops, blocksOf(shared, model), embedded.y, {
      recompute: model.recompute ?? false,
      savesInput: true,
    });
    const output = headBackward(shared, blocks.y, batch);
    blocks.y.dispose();
    const encoder = blocks.backward(output.dx);
    const embedding = embedBackward(shared, model, encoder.dx, embedded.norm, batch.tokens);
    const words = tf.add(tensorOf(embedding, WORDS), output.dWords);
    const gradient = { ...embedding, [WORDS]: words, ...encoder.gradient, ...output.gradient };
    return { loss: output.loss, gradient };
  });
}

/** From the last block's output to the loss of the tokens to predict, and back. */
function headBackward(shared: Shared, x: Tensor, { targets, places }: Batch) {
  const { ops, theta } = shared;
  const { tf } = ops;
  return tf.tidy(() => {
    const rows = places ? tf.gather(x, places) : x;
    const { logits, norm, hidden } = head(shared, rows);
    const { loss, dLogits } = crossEntropy(ops, logits, targets);
    const decoder = biasedBackward(ops, dLogits, norm.y, tensorOf(theta, WORDS));
    const place = at(shared, `${HEAD}.transform`);
    const normed = normalizeBackward(place, "LayerNorm", decoder.dx, norm);
    const input = projectBackward(
      place,
      "dense",
      tf.mul(normed.dx, geluErfWithSlope(ops, hidden).slope),
      rows,
    );
    const dx = places ? lookUpBackward(ops, input.dx, places as Tensor1D, x.shape[0] ?? 0) : input.dx;
    const gradient = { [BIAS]: decoder.dBias, ...normed.gradient, ...input.gradient };
    return { loss, dx, dWords: decoder.dWeight, gradient };
  });
}
