import { basename, extname } from "node:path";
import type { RandomAccess } from "../huggingface/folder.ts";

/**
 * The format of a file: `text` is one document, `lines` one JSON object a line, `parquet` one document a row, `tokens`
 * unsigned 16-bit little-endian ids as nanoGPT writes them.
 */
export type SourceKind = "text" | "lines" | "parquet" | "tokens";

/** A file that data is read from. */
export type SourceFile = {
  /** Names it in messages. */
  readonly name: string;
  readonly kind: SourceKind;
  readonly bytes: number;
  /** Changes when the file does. */
  readonly version: string;
  /** False when the file was changed so shortly before that another change could go unseen. */
  readonly settled: boolean;
  open(): Promise<RandomAccess>;
  /** True when the file is as large as it was. */
  isUnchanged(): Promise<boolean>;
};

/** Files that are elsewhere than on this machine, such as in S3. */
export type SourceStore = {
  /** The start of the URLs that it reads, such as `s3:`. */
  readonly scheme: string;
  /**
   * Finds the file that a URL names, or all files below it, by name.
   *
   * @throws InvalidInput when it names nothing, or can't be read
   */
  find(url: string): Promise<SourceFile[]>;
};

const KINDS: Readonly<Record<string, SourceKind>> = {
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".parquet": "parquet",
  ".bin": "tokens",
};

/** Returns the format of a file, by its name. */
export const kindOf = (path: string): SourceKind => KINDS[extname(basename(path)).toLowerCase()] ?? "text";
