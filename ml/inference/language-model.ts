import type { Tensor } from "@tensorflow/tfjs";
import { elements } from "../../protocol/safetensors.ts";
import { type Checkpoint, openCheckpoint } from "../huggingface/checkpoint.ts";
import { type Ops, opsOf } from "../models/layers/ops.ts";
import type { Tensors } from "../models/model.ts";
import type { Backend } from "../tensorflow/backend.ts";

/** A checkpoint with its parameters on a backend. */
export type LanguageModel = Pick<Checkpoint, "family" | "config" | "tokenizer" | "endTokens" | "notes"> & {
  readonly ops: Ops;
  readonly theta: Tensors;
  dispose(): void;
};

/**
 * Loads a checkpoint directory. Beside the parameters it holds one tensor at a time in memory.
 *
 * @throws InvalidInput when the directory or one of its files is not there
 * @throws CorruptData when the files do not fit together
 */
export async function loadLanguageModel(directory: string, { tf }: Backend): Promise<LanguageModel> {
  const checkpoint = await openCheckpoint(directory);
  const ops = opsOf(tf);
  const theta: Record<string, Tensor> = {};
  try {
    for (const { name, shape } of checkpoint.parameters) {
      const values = await checkpoint.read(name, alignedFloats(elements(shape)));
      theta[name] = upload(ops, values, shape);
    }
  } catch (error) {
    tf.dispose(theta);
    throw error;
  } finally {
    await checkpoint.close();
  }
  const { family, config, tokenizer, endTokens, notes } = checkpoint;
  return { family, config, tokenizer, endTokens, notes, ops, theta, dispose: () => tf.dispose(theta) };
}

const LARGE = 1 << 20;
/** Bytes before the memory that the system gives for a large array. */
const ALLOCATION_HEADER = 16;
const ALIGNMENT = 64;

/**
 * Memory that TensorFlow takes over without a copy: it needs addresses that are multiples of 64, and large arrays start
 * 16 bytes after one. At other addresses it copies, and nothing else changes.
 */
function alignedFloats(length: number): Float32Array {
  if (length < LARGE) return new Float32Array(length);
  const buffer = new ArrayBuffer(4 * length + ALIGNMENT);
  return new Float32Array(buffer, ALIGNMENT - ALLOCATION_HEADER, length);
}

/** Uploads at once: on the native backend a tensor's values stay in JavaScript until a kernel uses it. */
function upload({ tf, native }: Ops, values: Float32Array, shape: readonly number[]): Tensor {
  const tensor = tf.tensor(values, [...shape]);
  native?.run("Identity", { T: { type: "float32" } }, [tensor]).dispose();
  return tensor;
}
