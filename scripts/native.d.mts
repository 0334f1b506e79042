export interface NativeStatus {
  readonly available: boolean;
  /** Of the TensorFlow library, for example 2.18.1. */
  readonly version?: string | undefined;
  /** Where the library is. */
  readonly directory?: string | undefined;
  /** Why it is not available. */
  readonly reason?: string | undefined;
  /** The command that would make it available. */
  readonly fix?: string | undefined;
}

/** What is installed of native TensorFlow, without loading it: takes a millisecond and never throws. */
export function nativeStatus(): NativeStatus;

/** The folder of one unpacked TensorFlow: complete whenever it exists. */
export function libraryDirectory(root?: string, platform?: string): string;

/** Whether a library folder is whole. */
export function isComplete(directory: string): boolean;

export const TENSORFLOW_VERSION: string;

/** The command that installs native TensorFlow, or tries again. */
export const SETUP_COMMAND: string;
