import { compileModule, instantiate } from "../../wasm/module.ts";
import { geluFunction, softmaxFunction, swigluFunction } from "./activations.ts";
import { type ProductKernel, productFunctions, productKernels } from "./matrix-product.ts";

/** Compiles the module that every thread runs: memory 0 is the decoder's state, memory 1 has the matrices. */
export function compileKernels(): WebAssembly.Module {
  const memories = [
    { name: "state", shared: true },
    { name: "matrix", shared: true },
  ];
  return compileModule(memories, [
    ...productFunctions(),
    geluFunction(),
    swigluFunction(),
    softmaxFunction(),
  ]);
}

/** Offsets are in bytes. What activations take is a multiple of 16 bytes, above 0. */
export type Kernels = {
  readonly products: readonly ProductKernel[];
  gelu(offset: number, bytes: number): void;
  swiglu(gate: number, up: number, bytes: number): void;
  softmax(offset: number, bytes: number): void;
};

/** @param matrix the memory of the matrices */
export function instantiateKernels(
  module: WebAssembly.Module,
  state: WebAssembly.Memory,
  matrix: WebAssembly.Memory,
): Kernels {
  const functionOf = instantiate(module, { state, matrix });
  return {
    products: productKernels(functionOf),
    gelu: functionOf("gelu"),
    swiglu: functionOf("swiglu"),
    softmax: functionOf("softmax"),
  };
}
