import type { Tensor } from "@tensorflow/tfjs";
import { elements } from "../../protocol/safetensors.ts";
import { type Checkpoint, openCheckpoint } from "../huggingface/checkpoint.ts";
import type { Tensors } from "../models/model.ts";
import { type Ops, opsOf } from "../models/ops.ts";
import type { Backend } from "../tensorflow/backend.ts";

/** A checkpoint with its parameters on a backend, ready to be used. */
export type LanguageModel = Pick<Checkpoint, "family" | "config" | "tokenizer" | "ends"> & {
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
  const { family, config, tokenizer, ends } = checkpoint;
  return { family, config, tokenizer, ends, ops, theta, dispose: () => tf.dispose(theta) };
}

const LARGE = 1 << 20;
/** What lies before the memory that the system gives for a large array, in bytes. */
const ALLOCATION_HEADER = 16;
const ALIGNMENT = 64;

/**
 * Memory that TensorFlow takes over without a copy: it asks for addresses that are multiples of 64, and large arrays
 * start 16 bytes past one. Where that is not so it copies, and nothing else changes.
 */
function alignedFloats(length: number): Float32Array {
  if (length < LARGE) return new Float32Array(length);
  const buffer = new ArrayBuffer(4 * length + ALIGNMENT);
  return new Float32Array(buffer, ALIGNMENT - ALLOCATION_HEADER, length);
}

/** On the native backend a tensor's values stay JavaScript's until a kernel first uses it: that is now. */
function upload({ tf, native }: Ops, values: Float32Array, shape: readonly number[]): Tensor {
  const tensor = tf.tensor(values, [...shape]);
  native?.run("Identity", { T: { type: "float32" } }, [tensor]).dispose();
  return tensor;
}
