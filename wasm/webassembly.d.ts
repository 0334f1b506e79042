/** The part of the WebAssembly JavaScript interface that kernels use: https://www.w3.org/TR/wasm-js-api/ */
declare namespace WebAssembly {
  class Module {
    private readonly _: never;
    constructor(bytes: Uint8Array);
  }
  class Memory {
    /** In pages of 64 KiB; threads see a shared one. */
    constructor(size: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, Memory>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
}
