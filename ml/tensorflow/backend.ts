export type Tf = typeof import("@tensorflow/tfjs");

/** The library that computes the gradients of this process, loaded and selected. */
export interface Backend {
  readonly tf: Tf;
  readonly name: "tensorflow" | "wasm";
  readonly device: "cpu" | "gpu";
  /** Of the native TensorFlow library, or of the wasm backend. */
  readonly version: string;
  /** Settings in force, and the processor: they can change the bits of a result. A part of the provenance. */
  readonly flags: Readonly<Record<string, string>>;
  /** The reason why this is not the native library, when any backend was wanted. */
  readonly note?: string;
}

export interface BackendOptions {
  /**
   * The device to compute on: `cpu` leaves a GPU alone, `gpu` throws when there is none.
   * @default auto: a GPU where TensorFlow finds one
   */
  readonly device?: "auto" | "cpu" | "gpu";
  /**
   * Threads for one operation; the native library fixes it at its first load in a process.
   * @default TF_NUM_INTRAOP_THREADS, or every core
   */
  readonly threads?: number;
}
