import { availableParallelism } from "node:os";
import { type Checkpoint, openCheckpoint } from "../huggingface/checkpoint.ts";
import { Decoder } from "./decoder.ts";
import { compileKernels } from "./kernels.ts";
import { decoderShape } from "./shape.ts";
import type { Texts } from "./shared-decoder.ts";
import { loadSharedWeights, type SharedWeights } from "./shared-weights.ts";
import { ThreadPool } from "./thread-pool.ts";

/** A checkpoint that generates text, with its parameters in memory that threads share. It needs no TensorFlow. */
export type GenerativeModel = Pick<Checkpoint, "family" | "config" | "tokenizer" | "endTokens" | "notes"> & {
  /** Creates a decoder for some texts; close it when done. */
  decoder(texts: Texts): Decoder;
  dispose(): void;
};

/**
 * Loads a checkpoint directory. Beside the parameters it holds one tensor at a time in memory.
 *
 * @throws InvalidInput when the directory or one of its files is not there, or the family does not predict what comes
 * next
 * @throws CorruptData when the files do not fit together
 */
export async function loadGenerativeModel(directory: string): Promise<GenerativeModel> {
  const checkpoint = await openCheckpoint(directory);
  try {
    const { family, config, tokenizer, endTokens, notes } = checkpoint;
    const shape = decoderShape(family, config);
    const weights = await loadSharedWeights(checkpoint, shape);
    const module = compileKernels();
    const pool = new ThreadPool(threadsFor(weights));
    const decoder = (texts: Texts) => new Decoder({ shape, weights, module }, pool, texts);
    return { family, config, tokenizer, endTokens, notes, decoder, dispose: () => pool.close() };
  } finally {
    await checkpoint.close();
  }
}

/** More threads than this compete for the memory's bandwidth. */
const MAX_THREADS = 8;
/** Fewer bytes are read faster than a thread is woken. */
const BYTES_PER_THREAD = 1 << 20;

/** TF_NUM_INTRAOP_THREADS limits the threads of all that computes, with TensorFlow or without. */
function threadsFor({ memories }: SharedWeights): number {
  const bytes = memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  const wanted = Number(process.env.TF_NUM_INTRAOP_THREADS) || availableParallelism();
  return Math.max(1, Math.min(wanted, MAX_THREADS, Math.floor(bytes / BYTES_PER_THREAD)));
}
