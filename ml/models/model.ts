import type { Scalar, Tensor, Tensor1D, Tensor2D } from "@tensorflow/tfjs";
import { Bug } from "../../protocol/errors.ts";
import type { Parameter } from "../../protocol/layout.ts";
import type { BatchKey } from "../data/batches.ts";
import type { Dropout } from "./layers/dropout.ts";

/** A parameter's first values. */
export type Init =
  | { readonly type: "zeros" }
  | { readonly type: "ones" }
  /** `zeroRow`: a row of zeros, for the token that stands for padding; null or left out: none. */
  | { readonly type: "normal"; readonly deviation: number; readonly zeroRow?: number | null };

export type ModelParameter = Parameter & { readonly init: Init };

/** A parameter whose values start from a normal distribution, with `zeroRow` as in `Init`. */
export const normalTable = (
  name: string,
  shape: readonly number[],
  deviation: number,
  zeroRow: number | null = null,
): ModelParameter => ({ name, shape, init: { type: "normal", deviation, zeroRow } });

/** A model without its computation. */
export type ModelDescription = {
  readonly parameters: readonly ModelParameter[];
  /** The files beside `model.safetensors` that make a directory one that Hugging Face tools load. */
  readonly files: Readonly<Record<string, string>>;
};

/** Parameters, or their gradients, by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** Tokens of B sequences of T: [B T], sequence after sequence. */
export type Tokens = {
  readonly ids: Tensor1D;
  readonly sequences: number;
  readonly length: number;
  /** 1: a token, 0: padding that no token attends to, [B, T]; left out: no padding. Models that read both ways only. */
  readonly mask?: Tensor2D;
  /** The part of a pair that a token belongs to, [B T]; left out: the first. Models with token types only. */
  readonly types?: Tensor1D;
};

/** The data that a language model's loss is computed on. */
export type Batch = {
  readonly tokens: Tokens;
  /** The token to predict for each token, [B T], or for each of `predicted`, [M]. */
  readonly targets: Tensor1D;
  /** Indices in [B T] of the tokens to predict, [M]; left out: all. */
  readonly predicted?: Tensor1D;
  /** In training only. */
  readonly dropout?: Dropout;
};

export type LossAndGradient = { loss: Scalar; gradient: Tensors };

/**
 * A model with its data, for a trainer. Both functions make only the tensors that they return, which are
 * the caller's to dispose.
 */
export type Objective = {
  /** Mean loss over a micro-batch, and its gradient for every parameter. */
  lossAndGradient(theta: Tensors, key: BatchKey): LossAndGradient;
  /** Mean loss over a batch of held-out data, `index` from 0 to `evaluateBatches` - 1. */
  heldOutLoss(theta: Tensors, index: number): Scalar;
  /** The tokens of text, or the examples, of a micro-batch. */
  readonly tokensPerBatch: number;
};

/** @throws Bug when a model asks for a parameter that it did not declare */
export function tensorOf(tensors: Tensors, name: string): Tensor {
  const tensor = tensors[name];
  if (!tensor) throw new Bug(`there is no parameter ${name}`);
  return tensor;
}
