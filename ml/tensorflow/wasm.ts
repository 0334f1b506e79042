import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { Unrecoverable } from "../../protocol/errors.ts";
import type { Backend, Tf } from "./backend.ts";

/**
 * Loads tfjs on WebAssembly: needs nothing beyond the package. It computes on one thread, as the package starts its
 * threads in a way only browsers know.
 */
export async function loadWasm(): Promise<Backend> {
  const { default: tf }: { default: Tf } = await import("@tensorflow/tfjs");
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  const entry = createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm");
  if (tf.findBackend("wasm") === null) wasm.setWasmPaths(join(dirname(entry), sep));
  tf.enableProdMode();
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  if (!(await tf.setBackend("wasm"))) throw new Unrecoverable("tfjs cannot start its wasm backend");
  return { tf, name: "wasm", device: "cpu", version: wasm.version_wasm, flags: { simd: String(simd) } };
}
