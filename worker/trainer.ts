import { setImmediate } from "node:timers/promises";
import type { Scalar } from "@tensorflow/tfjs";
import type { Dataset } from "../ml/data/dataset.ts";
import { opsOf } from "../ml/models/layers/ops.ts";
import { type Tensors, tensorOf } from "../ml/models/model.ts";
import { objectiveOf } from "../ml/models/objective.ts";
import type { UserModel } from "../ml/models/user-model-types.d.ts";
import type { Backend } from "../ml/tensorflow/backend.ts";
import { BadGradient, InvalidInput } from "../protocol/errors.ts";
import type { JobSpec } from "../protocol/job.ts";
import { type Layout, type Tensor as LayoutTensor, tensorAt } from "../protocol/layout.ts";
import { at } from "../protocol/required.ts";
import { elements } from "../protocol/safetensors.ts";

export type Gradient = {
  /** Mean over the rank's micro-batches. */
  readonly loss: number;
  /** The tokens of text, or the examples, that it was computed on. */
  readonly tokens: number;
  /** In the order of the layout, averaged and clipped. */
  readonly gradient: Float32Array;
};

export type Trainer = {
  /**
   * The gradient at `theta` of one rank's batch of a step: a pure function of these and the job.
   *
   * @throws BadGradient when the loss or an element of the gradient is not finite
   */
  gradient(theta: Float32Array, step: number, rank: number): Promise<Gradient>;
  /**
   * The mean loss over the held-out batches.
   *
   * @throws BadGradient when it is not finite
   */
  evaluate(theta: Float32Array): Promise<{ loss: number; sequences: number }>;
};

export type TrainerOptions = {
  readonly backend: Backend;
  readonly spec: JobSpec;
  readonly layout: Layout;
  readonly dataset: Dataset | null;
  /** Values of the layout's frozen tensors; null when it has none. */
  readonly frozen?: Float32Array | null;
  /** The model of the job's own module; null when it has none. */
  readonly user?: UserModel | null;
};

const slice = (vector: Float32Array, { offset, shape }: LayoutTensor): Float32Array =>
  vector.subarray(offset, offset + elements(shape));

export function createTrainer({ backend, spec, layout, dataset, frozen, user }: TrainerOptions): Trainer {
  const { tf } = backend;
  const { accumulation, evaluateBatches, batch, optimizer } = spec;
  const objective = objectiveOf(opsOf(tf), spec, dataset, user ?? null);
  const rounds = roundsOf(tf, layout, uploadFrozen(tf, layout, frozen ?? null));

  return {
    async gradient(vector, step, rank) {
      const gradient = new Float32Array(layout.parameters);
      const loss = await rounds(vector, accumulation, (theta, micro) => {
        const result = objective.lossAndGradient(theta, { step, rank, micro });
        addGradient(gradient, result.gradient, layout, micro === 0);
        return result;
      });
      if (accumulation > 1) scale(gradient, 1 / accumulation);
      const norm = Math.sqrt(sumOfSquares(gradient));
      checkFinite(gradient, norm, loss, layout, `step ${step}, rank ${rank}`);
      if (optimizer.clipNorm !== null) clip(gradient, norm, optimizer.clipNorm);
      return { loss, tokens: objective.tokensPerBatch * accumulation, gradient };
    },

    async evaluate(vector) {
      const loss = await rounds(vector, evaluateBatches, (theta, index) => ({
        loss: objective.heldOutLoss(theta, index),
      }));
      if (Number.isFinite(loss)) return { loss, sequences: evaluateBatches * batch };
      throw new BadGradient(`the loss on held-out data is not finite (${loss}); ${ADVICE}`);
    },
  };
}

/**
 * The loop of a training step and of an evaluation: makes tensors of the parameters, calls `compute` `count` times,
 * disposes what it returns, and gives the mean of the losses.
 */
function roundsOf(tf: Backend["tf"], layout: Layout, frozen: Tensors) {
  return async (
    vector: Float32Array,
    count: number,
    compute: (theta: Tensors, round: number) => { loss: Scalar },
  ): Promise<number> => {
    const theta = upload(tf, layout, vector);
    let mean = 0;
    try {
      for (let round = 0; round < count; round++) {
        // Sockets and timers of this thread get their turn: a micro-batch may hold it for seconds.
        await setImmediate();
        const result = compute({ ...frozen, ...theta }, round);
        mean += at(result.loss.dataSync<"float32">(), 0, "the loss") / count;
        tf.dispose(result);
      }
    } finally {
      tf.dispose(theta);
    }
    return mean;
  };
}

/** All parameters of a version as tensors, by name. */
export const parameterTensors = (
  tf: Backend["tf"],
  layout: Layout,
  theta: Float32Array,
  frozen: Float32Array | null,
): Tensors => ({ ...uploadFrozen(tf, layout, frozen), ...upload(tf, layout, theta) });

function upload(tf: Backend["tf"], layout: Layout, vector: Float32Array): Tensors {
  if (vector.length !== layout.parameters) {
    throw new InvalidInput(`theta must have ${layout.parameters} parameters, got ${vector.length}`);
  }
  return Object.fromEntries(layout.tensors.map((t) => [t.name, tf.tensor(slice(vector, t), t.shape)]));
}

/** The frozen parameters, uploaded once; they live as long as the trainer. */
function uploadFrozen(tf: Backend["tf"], { frozen }: Layout, vector: Float32Array | null): Tensors {
  if ((vector?.length ?? 0) !== (frozen?.parameters ?? 0)) {
    throw new InvalidInput(
      `there must be ${frozen?.parameters ?? 0} frozen parameters, got ${vector?.length ?? 0}`,
    );
  }
  if (!frozen || !vector) return {};
  return Object.fromEntries(frozen.tensors.map((t) => [t.name, tf.tensor(slice(vector, t), t.shape)]));
}

/** Adds the gradient of a micro-batch to the flat `sum`; the first one replaces what is there. */
function addGradient(sum: Float32Array, gradient: Tensors, layout: Layout, first: boolean): void {
  for (const tensor of layout.tensors) {
    const values = tensorOf(gradient, tensor.name).dataSync<"float32">();
    if (first) slice(sum, tensor).set(values);
    else add(slice(sum, tensor), values);
  }
}

function add(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (values[i] ?? 0);
}

function scale(vector: Float32Array, factor: number): void {
  for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) * factor;
}

function sumOfSquares(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) {
    const value = vector[i] ?? 0;
    sum += value * value;
  }
  return sum;
}

const ADVICE = "lower optimizer.learningRate or set optimizer.clipNorm";

/** In double precision the norm of finite 32-bit numbers is finite, so it shows whether there is a tensor to search for. */
function checkFinite(
  gradient: Float32Array,
  norm: number,
  loss: number,
  layout: Layout,
  where: string,
): void {
  const index = Number.isFinite(norm) ? -1 : gradient.findIndex((value) => !Number.isFinite(value));
  const tensor = index === -1 ? undefined : tensorAt(layout, index);
  if (tensor) {
    const element = `${gradient[index]} at element ${index - tensor.offset}`;
    throw new BadGradient(`${where}: the gradient of ${tensor.name} is not finite (${element}); ${ADVICE}`);
  }
  if (!Number.isFinite(loss)) throw new BadGradient(`${where}: the loss is not finite (${loss}); ${ADVICE}`);
}

/** Scales a gradient down to a global L2 norm. Source: PyTorch's `clip_grad_norm_`; 1e-6 keeps the factor finite. */
function clip(gradient: Float32Array, norm: number, maxNorm: number): void {
  const factor = maxNorm / (norm + 1e-6);
  if (factor < 1) scale(gradient, factor);
}
