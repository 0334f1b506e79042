import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname } from "node:path";
import util from "node:util";
import type { NodeJSKernelBackend } from "@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js";
import type { TFJSBinding } from "@tensorflow/tfjs-node-gpu/dist/tfjs_binding.js";
import { Unrecoverable } from "../../protocol/errors.ts";
import { nativeStatus } from "../../scripts/native.mjs";
import type { Backend, BackendOptions, Tf } from "./backend.ts";

/** Settings of TensorFlow that change how, and so to which bits, it computes. */
const FLAGS_THAT_CHANGE_BITS = [
  "TF_ENABLE_ONEDNN_OPTS",
  "TF_DETERMINISTIC_OPS",
  "TF_SET_ONEDNN_FPMATH_MODE",
  "ONEDNN_DEFAULT_FPMATH_MODE",
  "ONEDNN_MAX_CPU_ISA",
  "TF_FP16_MATMUL_USE_FP32_COMPUTE",
  "TF_CUDNN_USE_AUTOTUNE",
  "TF_MATMUL_AUTOTUNE_ENABLE",
  "TF_USE_CUBLASLT",
  "TF_XLA_FLAGS",
  "XLA_FLAGS",
  "NVIDIA_TF32_OVERRIDE",
  "CUBLAS_WORKSPACE_CONFIG",
];

/** The reason why the native library cannot be loaded, found without loading it, and what to do. */
export function whyNotNative(): { reason: string; fix: string } | undefined {
  const status = nativeStatus();
  return status.available ? undefined : status;
}

/** Returns the folder of the native library and its binding; null when it is not there. */
export function nativeDirectory(): string | null {
  const status = nativeStatus();
  return status.available ? dirname(status.binding) : null;
}

/** The environment that gives a child process so many threads, whichever backend it loads. */
export function threadEnvironment(threads: number): Record<string, string> {
  // Measured: TensorFlow honours these two and not OMP_NUM_THREADS. Eager operations run one by one; a recorded
  // program runs independent ones side by side, which makes small models a fifth faster.
  return { TF_NUM_INTRAOP_THREADS: String(threads), TF_NUM_INTEROP_THREADS: String(threads) };
}

/** Loads tfjs on the native TensorFlow library. Throws what the loader throws when it is not there. */
export async function loadTensorflow({ threads, device: wanted }: BackendOptions): Promise<Backend> {
  const status = nativeStatus();
  if (!status.available) throw new Unrecoverable(status.reason);
  prepareEnvironment(threads);
  if (wanted === "cpu") process.env.CUDA_VISIBLE_DEVICES = "-1";
  restoreUtilHelpers();
  const { default: tf }: { default: Tf } = await import("@tensorflow/tfjs");
  await registerNative(tf, status.binding);
  tf.enableProdMode();
  if (!(await tf.setBackend("tensorflow")))
    throw new Unrecoverable("tfjs cannot start its tensorflow backend");
  const kernels = nativeKernels(tf);
  if (kernels === undefined) throw new Unrecoverable(`tfjs chose ${tf.getBackend()} in place of tensorflow`);
  const device = kernels.isUsingGpuDevice ? "gpu" : "cpu";
  return { tf, name: "tensorflow", device, version: kernels.binding.TF_Version, flags: flagsInForce() };
}

/**
 * Registers tfjs-node's kernels and its backend. What its own entry point does beside this is not needed, and it looks
 * for the binding in a folder that its own downloader fills.
 */
async function registerNative(tf: Tf, bindingFile: string): Promise<void> {
  // In a bundle a CommonJS module has its default export only.
  const { default: library } = await import("@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js");
  await import("@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js");
  const binding: TFJSBinding = createRequire(import.meta.url)(bindingFile);
  tf.registerBackend(
    "tensorflow",
    () => new library.NodeJSKernelBackend(binding, "@tensorflow/tfjs-node-gpu"),
  );
}

/** The native backend behind tfjs, when it is the one selected. */
export function nativeKernels(tf: Tf): NodeJSKernelBackend | undefined {
  const kernels = tf.backend();
  return "executeSingleOutput" in kernels ? (kernels as NodeJSKernelBackend) : undefined;
}

/** TensorFlow reads these once, when its library is loaded and its context made. A user's own values win. */
function prepareEnvironment(threads: number | undefined): void {
  const defaults = {
    TF_CPP_MIN_LOG_LEVEL: "2", // errors only
    TF_DETERMINISTIC_OPS: "1", // some GPU kernels add in no fixed order without it
    TF_FORCE_GPU_ALLOW_GROWTH: "true", // several workers may share a GPU
    ...(threads === undefined ? {} : threadEnvironment(threads)),
  };
  for (const [name, value] of Object.entries(defaults)) process.env[name] ??= value;
}

/** Node 23 removed one of the helpers that tfjs-node still calls, and Node 24 warns of the other. */
function restoreUtilHelpers(): void {
  const helpers: { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean } =
    util;
  helpers.isNullOrUndefined ??= (value) => value === null || value === undefined;
  helpers.isArray = Array.isArray;
}

/** With the processor: AVX2 and AVX-512 kernels add in another order, so the same job has other bits on them. */
function flagsInForce(): Record<string, string> {
  const set = FLAGS_THAT_CHANGE_BITS.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { cpu: cpus()[0]?.model.trim() ?? process.arch, ...Object.fromEntries(set) };
}
