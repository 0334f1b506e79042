import { globSync, readdirSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { openLocal, type RandomAccess } from "../huggingface/folder.ts";
import { kindOf, type SourceFile, type SourceStore } from "./source-file.ts";

/** A file that changed this shortly before may change again within the same tick of the file system's clock. */
const SETTLED_MS = 1000;

/**
 * Finds the files of paths, in the order in which they are read: the file itself; all files below a directory, by
 * name, but none that begins with a dot; or what a glob such as `corpus/*.jsonl` matches, by name. A URL names what
 * the store of its scheme finds.
 *
 * @param name names the paths in messages
 * @throws InvalidInput when there is none, one can't be read, or tokens and texts are mixed
 */
export async function findSources(
  paths: readonly string[],
  name: string,
  stores: readonly SourceStore[] = [],
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const path of paths) {
    const scheme = /^[a-z][a-z0-9+.-]+:(?=\/\/)/.exec(path)?.[0];
    if (scheme === undefined) files.push(...localFiles(path, paths.length === 1 ? name : path));
    else files.push(...(await storeOf(scheme, stores).find(path)));
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

function storeOf(scheme: string, stores: readonly SourceStore[]): SourceStore {
  const store = stores.find((each) => each.scheme === scheme);
  if (store) return store;
  throw new InvalidInput(`${scheme}// can't be read here; give a file of this machine`);
}

function localFiles(path: string, name: string): SourceFile[] {
  const files = pathsOf(path, name);
  return files.map((file) => localFile(file, files.length === 1 && file === path ? name : file));
}

/** True for a path with characters of a glob. */
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

function localFile(path: string, name: string): SourceFile {
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
    throw cannotRead(path, name, cause);
  }
}

function cannotRead(path: string, name: string, cause: unknown): InvalidInput {
  if (cause instanceof InvalidInput) return cause;
  const missing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
  const problem = missing
    ? `must name a file that exists; there is none at ${resolve(path)}`
    : `can't be read as a text file: ${describe(cause)}`;
  return new InvalidInput(`${name} ${problem}`, { cause });
}

async function openFile(path: string): Promise<RandomAccess> {
  const file = await openLocal(path);
  if (file === null) throw new InvalidInput(`${path} was removed while it was read; try again`);
  return file;
}
