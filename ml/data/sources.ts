import { globSync, readdirSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import type { Buckets } from "../../cloud/buckets.ts";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { openLocal, type RandomAccess } from "../huggingface/folder.ts";
import { findObjects, isS3, type S3Object } from "./s3-source.ts";

/**
 * How a file is read: `text` is one document, `lines` one JSON object a line, `parquet` one document a row, `tokens`
 * unsigned 16-bit little-endian ids as nanoGPT writes them.
 */
export type SourceKind = "text" | "lines" | "parquet" | "tokens";

export type SourceFile = {
  /** What to call it in messages. */
  readonly name: string;
  readonly kind: SourceKind;
  readonly bytes: number;
  /** Changes when the file does. */
  readonly version: string;
  /** False when it was changed so shortly before that another change could go unseen. */
  readonly settled: boolean;
  open(): Promise<RandomAccess>;
  /** Whether it is as large as it was. */
  isUnchanged(): Promise<boolean>;
};

/** A file that changed this shortly before may change again within the same tick of the file system's clock. */
const SETTLED_MS = 1000;

const KINDS: Readonly<Record<string, SourceKind>> = {
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".parquet": "parquet",
  ".bin": "tokens",
};

/**
 * The files of paths, in the order in which they are read: the file itself; all files below a directory, by name,
 * but none that begins with a dot; or what a glob such as `corpus/*.jsonl` matches, by name. `s3://bucket/key` is an
 * object, `s3://bucket/prefix/` all objects below it.
 *
 * @param name what to call the paths in messages
 * @throws InvalidInput when there is none, one can't be read, or tokens and texts are mixed
 */
export async function findSources(
  paths: readonly string[],
  name: string,
  buckets: () => Buckets = noBuckets,
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const path of paths) {
    const found = isS3(path)
      ? (await findObjects(path, buckets())).map(storedFile)
      : localFiles(path, paths.length === 1 ? name : path);
    files.push(...found);
  }
  if (files.every(({ bytes }) => bytes === 0)) {
    throw new InvalidInput(`${name} is empty; give a text to train on`);
  }
  const kinds = new Set(files.map(({ kind }) => kind));
  if (kinds.has("tokens") && kinds.size > 1) {
    throw new InvalidInput(`${name} must hold .bin files of tokens or texts, not both`);
  }
  return files;
}

function noBuckets(): never {
  throw new InvalidInput("s3:// can't be read here; give a file of this machine");
}

/** An object's ETag is asked for with every read, so what was read is one state of it. */
function storedFile({ url, size, etag, open }: S3Object): SourceFile {
  const state = { version: JSON.stringify([url, size, etag]), settled: true, isUnchanged: async () => true };
  return { name: url, kind: kindOf(url), bytes: size, ...state, open: async () => open() };
}

function localFiles(path: string, name: string): SourceFile[] {
  const found = pathsOf(path, name);
  return found.map((file) => describeFile(file, found.length === 1 && file === path ? name : file));
}

const kindOf = (path: string): SourceKind => KINDS[extname(basename(path)).toLowerCase()] ?? "text";

/** Whether a path that names nothing is meant as a glob. */
export const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path);

function pathsOf(path: string, name: string): string[] {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info?.isDirectory()) {
    const files = filesBelow(path, name);
    if (files.length === 0) throw new InvalidInput(`${name} must hold files to train on, it has none`);
    return files;
  }
  if (info || !isPattern(path)) return [path];
  const files = globSync(path)
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile())
    .sort(byName);
  if (files.length === 0) throw new InvalidInput(`${name} must match files that exist, it matches none`);
  return files;
}

function filesBelow(directory: string, name: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true }).sort((a, b) => byName(a.name, b.name));
    return entries.flatMap((entry) => {
      const path = join(directory, entry.name);
      if (entry.name.startsWith(".")) return [];
      if (entry.isDirectory()) return filesBelow(path, path);
      return statSync(path, { throwIfNoEntry: false })?.isFile() ? [path] : [];
    });
  } catch (cause) {
    throw new InvalidInput(`${name} can't be read as a directory: ${describe(cause)}`, { cause });
  }
}

/** By UTF-16 units: the same on every machine, whatever its language. */
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function describeFile(path: string, name: string): SourceFile {
  try {
    const info = statSync(path, { bigint: true });
    if (!info.isFile()) throw new InvalidInput(`${name} must be a file or a directory`);
    const bytes = Number(info.size);
    const identity = [path, info.size, info.mtimeNs, info.ctimeNs, info.ino, info.dev];
    return {
      name,
      kind: kindOf(path),
      bytes,
      version: JSON.stringify(identity.map(String)),
      settled: Number(info.ctimeMs) < Date.now() - SETTLED_MS,
      open: () => openFile(path),
      isUnchanged: async () => (await stat(path).catch(() => null))?.size === bytes,
    };
  } catch (cause) {
    if (cause instanceof InvalidInput) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new InvalidInput(`${name} must name a file that exists; there is none at ${resolve(path)}`, {
        cause,
      });
    }
    throw new InvalidInput(`${name} can't be read as a text file: ${describe(cause)}`, { cause });
  }
}

async function openFile(path: string): Promise<RandomAccess> {
  const file = await openLocal(path);
  if (file === null) throw new InvalidInput(`${path} was removed while it was read; try again`);
  return file;
}
