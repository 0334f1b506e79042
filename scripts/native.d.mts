/** Of native TensorFlow in this installation. */
export type NativeStatus =
  | {
      readonly available: true;
      /** Of the TensorFlow library, for example 2.18.1. */
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

/** Tells what is installed of native TensorFlow, without loading it: takes a millisecond and never throws. */
export function nativeStatus(): NativeStatus;

/** The folder of one unpacked TensorFlow: complete whenever it exists. */
export function libraryDirectory(root?: string, platform?: string): string;

/** The binding built against the library of a folder. */
export function bindingFile(directory?: string): string;

/** Whether a library folder is whole. */
export function isComplete(directory: string): boolean;

export const TENSORFLOW_VERSION: string;

/** The command that installs native TensorFlow, or tries again: in a clone, and where the package is installed. */
export const SETUP_COMMAND: string;
