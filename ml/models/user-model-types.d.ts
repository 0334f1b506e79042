/**
 * The types of a user's own model. This file is the public interface of the package (`import type { UserModel } from
 * "serverless-ps"`): it declares types only and refers to no other file of ours. docs/your-own-model.md explains them.
 */
import type { Scalar, Tensor } from "@tensorflow/tfjs";

export type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from "@tensorflow/tfjs";

/** The whole of tfjs. */
export type Tf = typeof import("@tensorflow/tfjs");

/** Tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** The default export of the file that `model.module` names. */
export type UserModel = {
  /** Names, shapes and first values of all parameters. */
  parameters(sizes: UserSizes): readonly UserParameter[];
  /** The mean loss over a batch, a scalar. tfjs takes its gradient. */
  loss(tf: Tf, theta: Tensors, batch: Tensors, sizes: UserSizes): Scalar;
  /** One rank's batch: a pure function of its argument. Not called for a job whose data is text. */
  batch?(request: BatchRequest): Readonly<Record<string, UserArray>>;
  /** Files to store beside `model.safetensors`, by name. */
  files?(sizes: UserSizes): Readonly<Record<string, string>>;
};

export type UserSizes = {
  /** `model.options` of the job. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The number of different tokens of the text's tokenizer; null when the data is the model's own. */
  readonly vocabulary: number | null;
  /** `model.context` of the job. */
  readonly context: number | null;
};

/** A parameter and its first values. */
export type UserParameter = {
  /** Up to 200 letters, digits and `. _ -`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly init:
    | { readonly type: "zeros" }
    | { readonly type: "ones" }
    | { readonly type: "normal"; readonly deviation: number };
};

/** Names the batch that is wanted, and brings random numbers for it. */
export type BatchRequest = UserSizes & {
  /** Held-out data must differ from all data of training. */
  readonly part: "training" | "heldOut";
  /** In training: the step; held out: the number of the batch. */
  readonly step: number;
  readonly rank: number;
  /** Which of `accumulation` micro-batches. */
  readonly micro: number;
  /** `batch` of the job: examples wanted. */
  readonly rows: number;
  /** Standard normal numbers that depend on the job's seed and the name only. */
  normal(name: string, length: number): Float32Array;
  /** Uniform numbers in [0, 1) that depend on the job's seed and the name only. */
  uniform(name: string, length: number): Float32Array;
};

/** Row after row: a Float32Array becomes a float32 tensor, an Int32Array an int32 tensor. */
export type UserArray = { readonly shape: readonly number[]; readonly values: Float32Array | Int32Array };
