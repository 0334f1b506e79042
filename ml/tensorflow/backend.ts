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
