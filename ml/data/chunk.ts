/**
 * A part of the documents to tokenize, small enough to be held in memory many times over. Where one ends depends on
 * the files only, so the tokens do not depend on the number of threads.
 */
export type Chunk =
  /** Part of one document. */
  | {
      readonly kind: "text";
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly name: string;
      /** Where it begins in the file. */
      readonly offset: number;
      /** True for the last of its document. */
      readonly ends: boolean;
    }
  /** Values of JSON, one a line, each with a document in `field`. */
  | {
      readonly kind: "lines";
      readonly bytes: Uint8Array<ArrayBuffer>;
      readonly name: string;
      /** Number of the first line, or value of a file where they are not one a line, from 1. */
      readonly first: number;
      readonly unit: "line" | "value";
      readonly field: string;
    }
  /** Whole documents. */
  | { readonly kind: "documents"; readonly texts: string[] };

export const CHUNK_BYTES = 1 << 18;
