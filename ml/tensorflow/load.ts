import { describe, Unrecoverable } from "../../protocol/errors.ts";
import { SETUP_COMMAND } from "../../scripts/native.mjs";
import type { Backend, BackendOptions } from "./backend.ts";
import { loadTensorflow, whyNotNative } from "./tensorflow.ts";
import { loadWasm } from "./wasm.ts";

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
      `It takes an NVIDIA driver and TensorFlow's GPU build (PS_TENSORFLOW_DEVICE=gpu ${SETUP_COMMAND}); or use device "cpu"`,
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
