import type { Dataset } from "./dataset.ts";
import type { SourceStore, Sources } from "./source-file.ts";

/** `file` names a `tokenizer.json` or a directory that has one. */
export type TokenizerChoice =
  | "char"
  | "byte"
  | { readonly file: string }
  | { readonly train: { readonly vocab: number } };

export type Progress = {
  readonly what: "reading characters" | "counting words" | "learning merges" | "tokenizing";
  /** From 0 to 1. */
  readonly share: number;
};

export type PrepareOptions = {
  /** A file, a directory, a glob, or a URL of one of the stores; or several, one after the other. */
  readonly path: string | readonly string[];
  /** Read the URLs among the paths; a URL of no store is refused. */
  readonly stores?: readonly SourceStore[];
  /** Names the text in messages; default: its path. */
  readonly name?: string;
  readonly tokenizer: TokenizerChoice;
  /** Where a document stands in JSON lines and parquet rows; default: text. */
  readonly field?: string;
  /** Of already tokenized text without a tokenizer. */
  readonly vocabulary?: number | undefined;
  /** Bits of a number of already tokenized text; default: as many as the vocabulary needs. */
  readonly bits?: 16 | 32 | undefined;
  /** The model learns by masking: char, byte and trained tokenizers then have `[PAD]` and `[MASK]`. */
  readonly masks?: boolean;
  /** Where the dataset is made and kept: see dataset-cache.ts. */
  readonly cache: string;
  /** Default: one a core, or none for a short text. Never changes the result. */
  readonly threads?: number;
  /** Throws when the dataset can't be used; it is not kept then. */
  readonly check?: (dataset: Dataset) => void;
  /** Called with what the paths name, before it is read. */
  readonly onSources?: (sources: Sources) => void;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
};

/** Returns the name of the text in messages. */
export const nameOf = ({ path, name = [path].flat().join(", ") }: PrepareOptions): string => name;
