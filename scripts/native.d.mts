/** The state of native TensorFlow in this installation. */
export type NativeStatus =
  | {
      readonly available: true;
      /** The version of the TensorFlow library, for example 2.18.1. */
      readonly version: string;
      /** The folder of the library. */
      readonly directory: string;
      /** The file with tfjs-node's binding to it. */
      readonly binding: string;
    }
  | {
      readonly available: false;
      /** Why it is not available. */
      readonly reason: string;
      /** The command that would make it available. */
      readonly fix: string;
    };

/** Returns the state of native TensorFlow without loading it, in a millisecond. */
export function nativeStatus(): NativeStatus;

/** Returns the folder of one unpacked TensorFlow, which is complete whenever it exists. */
export function libraryDirectory(root?: string, platform?: string): string;

/** Returns the file of the binding that is built against the library of a folder. */
export function bindingFile(directory?: string): string;

/** Returns true for a library folder that is whole. */
export function isComplete(directory: string): boolean;

export const TENSORFLOW_VERSION: string;

/** The command that installs native TensorFlow, or tries again: in a clone, and where the package is installed. */
export const SETUP_COMMAND: string;
