import type { RandomAccess } from "../huggingface/folder.ts";

/**
 * The format of a file: `text` is one document, `lines` one JSON object a line, `json` an array of objects or objects
 * one after the other, `parquet` one document a row, `tokens` little-endian ids.
 */
export type SourceKind = "text" | "lines" | "json" | "parquet" | "tokens";

/** A file that data may be read from. */
export type FoundFile = {
  /** Names it in messages. */
  readonly name: string;
  /** Its path, for commands that people may give; its last name where it is not on this machine. */
  readonly path: string;
  /** Its path below the folder that was named; its last name where it was named itself. */
  readonly relative: string;
  /** True for a file that was named itself; false for one of a folder, a glob or a prefix. */
  readonly given: boolean;
  readonly bytes: number;
  /** Changes when the file does. */
  readonly version: string;
  /** False when the file was changed so shortly before that another change could go unseen. */
  readonly settled: boolean;
  open(): Promise<RandomAccess>;
  /** Reads its first bytes, fewer where it has no more. */
  readStart(bytes: number): Promise<Uint8Array>;
  /** True when the file is as large as it was. */
  isUnchanged(): Promise<boolean>;
};

/** A file that data is read from. */
export type SourceFile = FoundFile & {
  readonly kind: SourceKind;
  /** What it is used for, by its name: `val.bin` beside `train.bin` is held out. */
  readonly part: "training" | "heldOut";
};

/** A file that is not read, and why. */
export type LeftOut = { readonly name: string; readonly why: string };

/** What paths name. */
export type Sources = {
  /** In the order in which they are read, those that are held out last. */
  readonly files: readonly SourceFile[];
  readonly leftOut: readonly LeftOut[];
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
  find(url: string): Promise<FoundFile[]>;
};
