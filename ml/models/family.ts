import type { Scalar, Tensor2D } from "@tensorflow/tfjs";
import type { ModelSpec } from "../../protocol/model-spec.ts";
import type { TokenIds } from "./config.ts";
import type { DecoderShape } from "./decoder-shape.ts";
import type { MaskShapes } from "./layers/dropout.ts";
import type { Ops } from "./layers/ops.ts";
import type { Batch, LossAndGradient, ModelParameter, Tensors, Tokens } from "./model.ts";
import type { Naming } from "./naming.ts";

/** The part of a config that every language model has. */
export type ModelConfig = {
  readonly layers: number;
  /** Longest sequence in tokens. */
  readonly context: number;
  readonly vocabulary: number;
  readonly special?: TokenIds;
  /** Share of elements left out in training, where the family has dropout. */
  readonly dropout?: number;
  /** Keep only each block's input for the backward pass, and run the block once more there; left out: no. */
  readonly recompute?: boolean;
};

/** A kind of language model, with everything that differs from other kinds. */
export type Family<Config extends ModelConfig = ModelConfig> = {
  /** As `model.type` of a job and `model_type` of a Hugging Face config have it. */
  readonly type: string;
  /** Reads both ways and learns by predicting hidden tokens; false: learns by predicting the next one. */
  readonly masked: boolean;
  /** The config of a job's model over a vocabulary of so many tokens, some of them special. */
  configOf(spec: ModelSpec, vocabulary: number, special?: TokenIds): Config;
  /** Names, shapes and initial distributions, as transformers has them. */
  parameters(config: Config): ModelParameter[];
  /** `config.json` and `generation_config.json` of a checkpoint. */
  files(config: Config): Record<string, string>;
  /**
   * The config of a Hugging Face `config.json`.
   *
   * @param what names the file in errors
   * @throws InvalidInput for a field that is out of range, or asks for what this family can't do
   */
  fromHuggingFace(configJson: unknown, what: string): Config;
  /** The names of tensors in checkpoints that differ from those of the parameters. */
  readonly naming: Naming;
  /** The masks of dropout for B sequences of T tokens; a family without dropout has no such function. */
  dropout?(config: Config, sequences: number, length: number): MaskShapes;
  /** Mean loss over the tokens to predict, and its gradient for every parameter. */
  lossAndGradient(ops: Ops, config: Config, theta: Tensors, batch: Batch): LossAndGradient;
  /** The same loss without its gradient. */
  loss(ops: Ops, config: Config, theta: Tensors, batch: Batch): Scalar;
  /** The model as ml/inference runs it; a family that does not predict the next token has no such function. */
  decoder?(config: Config): DecoderShape;
  /** The logits of every token, [B T, V]. */
  logits(ops: Ops, config: Config, theta: Tensors, tokens: Tokens): Tensor2D;
};
