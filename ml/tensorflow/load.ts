import { describe, Unrecoverable } from "../../protocol/errors.ts";
import { SETUP_COMMAND } from "../../scripts/native.mjs";
import { loadTensorflow, whyNotNative } from "./tensorflow.ts";
import { loadWasm } from "./wasm.ts";

export type Tf = typeof import("@tensorflow/tfjs");

/** What computes the gradients of this process, ready and selected. */
export interface Backend {
  readonly tf: Tf;
  readonly name: "tensorflow" | "wasm";
  readonly device: "cpu" | "gpu";
  /** Of the native TensorFlow library, or of the wasm backend. */
  readonly version: string;
  /** What can change the bits of a result beside the version: settings in force and the processor. Provenance. */
  readonly flags: Readonly<Record<string, string>>;
  /** Why this is not the native library, when any backend was wanted. */
  readonly note?: string;
}

export interface BackendOptions {
  /**
   * What to compute on: `cpu` leaves a GPU alone, `gpu` throws when there is none.
   * @default auto: a GPU where TensorFlow finds one
   */
  readonly device?: "auto" | "cpu" | "gpu";
  /**
   * Threads for one operation; the native library fixes it at its first load in a process.
   * @default TF_NUM_INTRAOP_THREADS, or every core
   */
  readonly threads?: number;
}

/**
 * Loads the wanted backend; `auto` prefers the native library and falls back to wasm with a note.
 *
 * @throws Unrecoverable when the backend or the device is not to be had, with the reason and what to do
 */
export async function loadBackend(
  wanted: "auto" | "tensorflow" | "wasm",
  options: BackendOptions = {},
): Promise<Backend> {
  const backend = await loadLibrary(wanted, options);
  if (options.device !== "gpu" || backend.device === "gpu") return backend;
  // TensorFlow itself falls back without a word: a worker would train on a CPU at a GPU's price.
  throw new Unrecoverable(
    `device "gpu" is not available: ${backend.note ?? `${backend.name} ${backend.version} finds no GPU here`}. ` +
      'Needed are an NVIDIA driver and TensorFlow\'s GPU build (PS_TENSORFLOW_DEVICE=gpu npm run setup); or use device "cpu"',
  );
}

async function loadLibrary(
  wanted: "auto" | "tensorflow" | "wasm",
  options: BackendOptions,
): Promise<Backend> {
  if (wanted === "wasm") return loadWasm();
  try {
    return await loadTensorflow(options);
  } catch (cause) {
    const { reason, fix } = whyNotNative() ?? { reason: describe(cause), fix: SETUP_COMMAND };
    if (wanted === "tensorflow") {
      throw new Unrecoverable(
        `backend "tensorflow" is not available: ${reason}. Run: ${fix}, or use backend "wasm" (about ten times slower)`,
        { cause },
      );
    }
    const note = `running on wasm, about ten times slower than native TensorFlow: ${reason}. To change it: ${fix}`;
    return { ...(await loadWasm()), note };
  }
}
