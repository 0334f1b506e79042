import { globSync, readdirSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { describe, InvalidInput } from "../../protocol/errors.ts";

/**
 * How a file is read: `text` is one document, `lines` one JSON object a line, `parquet` one document a row, `tokens`
 * unsigned 16-bit little-endian ids as nanoGPT writes them.
 */
export type SourceKind = "text" | "lines" | "parquet" | "tokens";

export type SourceFile = {
  readonly path: string;
  /** What to call it in messages. */
  readonly name: string;
  readonly kind: SourceKind;
  readonly bytes: number;
};

const KINDS: Readonly<Record<string, SourceKind>> = {
  ".jsonl": "lines",
  ".ndjson": "lines",
  ".parquet": "parquet",
  ".bin": "tokens",
};

/**
 * The files of paths, in the order in which they are read: the file itself; all files below a directory, by name,
 * but none that begins with a dot; or what a glob such as `corpus/*.jsonl` matches, by name.
 *
 * @param name what to call the paths in messages
 * @throws InvalidInput when there is none, one can't be read, or tokens and texts are mixed
 */
export function findSources(paths: readonly string[], name: string): SourceFile[] {
  const found = paths.flatMap((path) => pathsOf(path, paths.length === 1 ? name : path));
  const files = found.map((file) =>
    describeFile(file, found.length === 1 && file === paths[0] ? name : file),
  );
  if (files.every(({ bytes }) => bytes === 0)) {
    throw new InvalidInput(`${name} is empty; give a text to train on`);
  }
  const kinds = new Set(files.map(({ kind }) => kind));
  if (kinds.has("tokens") && kinds.size > 1) {
    throw new InvalidInput(`${name} must hold .bin files of tokens or texts, not both`);
  }
  return files;
}

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
    const info = statSync(path);
    if (!info.isFile()) throw new InvalidInput(`${name} must be a file or a directory`);
    return { path, name, kind: KINDS[extname(basename(path)).toLowerCase()] ?? "text", bytes: info.size };
  } catch (cause) {
    if (cause instanceof InvalidInput) throw cause;
    throw new InvalidInput(`${name} can't be read as a text file: ${describe(cause)}`, { cause });
  }
}
