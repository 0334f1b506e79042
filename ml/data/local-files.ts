import {
  type BigIntStats,
  globSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { describe, InvalidInput } from "../../protocol/errors.ts";
import { isMissing } from "../../protocol/missing.ts";
import { openLocal, type RandomAccess } from "../huggingface/folder.ts";
import type { FoundFile, LeftOut } from "./source-file.ts";

/** A file that changed this shortly before may change again within the same tick of the file system's clock. */
const SETTLED_MS = 1000;

/** The files that a path names, and what is left out. */
export type Found = { readonly files: FoundFile[]; readonly leftOut: LeftOut[] };

/**
 * Finds the files of a path: the file itself; all files below a directory, by name, but none that begins with a dot;
 * or what a glob matches, by name. Links are followed, and what several lead to is read once.
 *
 * @param name names the path in messages
 * @throws InvalidInput when there is none, one can't be read, or a link leads nowhere or in a circle
 */
export function localFiles(path: string, name: string): Found {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info?.isDirectory()) return filesOfDirectory(path, name);
  if (info || !isPattern(path)) {
    refuseBroken(path);
    return { files: [localFile(path, { name, relative: basename(path), given: true })], leftOut: [] };
  }
  return filesOfPattern(path, name);
}

/** True for a path with characters of a glob. */
export const isPattern = (path: string): boolean => /[*?[\]{}]/.test(path);

function filesOfDirectory(path: string, name: string): Found {
  const walk = new Walk(path);
  walk.enter(path, name, []);
  if (walk.files.length > 0) return walk;
  const why =
    walk.leftOut.length === 0
      ? "it has none"
      : `it has only ${walk.leftOut.map((each) => each.name).join(", ")}`;
  throw new InvalidInput(`${name} must hold files to train on, ${why}`);
}

function filesOfPattern(path: string, name: string): Found {
  const walk = new Walk(".");
  for (const match of globSync(path).sort(byName)) walk.visit(match, []);
  if (walk.files.length > 0) return walk;
  throw new InvalidInput(`${name} must match files that exist, it matches none`);
}

/** By UTF-16 units: the same on every machine, whatever its language. */
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Collects files, each once. */
class Walk {
  readonly files: FoundFile[] = [];
  readonly leftOut: LeftOut[] = [];
  readonly #root: string;
  /** The true paths of the files and directories that were seen, with the name that led there first. */
  readonly #seen = new Map<string, string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** @param above the true paths of the directories around it */
  enter(directory: string, name: string, above: readonly string[]): void {
    for (const entry of namesIn(directory, name)) {
      const path = join(directory, entry);
      if (entry.startsWith(".")) this.leftOut.push({ name: path, why: "its name begins with a dot" });
      else this.visit(path, [...above, realpathSync(directory)]);
    }
  }

  visit(path: string, above: readonly string[]): void {
    refuseBroken(path);
    const info = statSync(path);
    const truth = realpathSync(path);
    if (above.includes(truth)) {
      throw new InvalidInput(`${path} is a link to ${truth}, which it is in: a circle; remove the link`);
    }
    const earlier = this.#seen.get(truth);
    this.#seen.set(truth, earlier ?? path);
    if (earlier !== undefined) this.leftOut.push({ name: path, why: `it is ${earlier} again, by a link` });
    else if (info.isDirectory()) this.enter(path, path, above);
    else if (info.isFile()) this.#add(path);
    else this.leftOut.push({ name: path, why: "it is neither a file nor a directory" });
  }

  #add(path: string): void {
    this.files.push(localFile(path, { name: path, relative: relative(this.#root, path), given: false }));
  }
}

function namesIn(directory: string, name: string): string[] {
  try {
    return readdirSync(directory).sort(byName);
  } catch (cause) {
    throw new InvalidInput(`${name} can't be read as a directory: ${describe(cause)}`, { cause });
  }
}

function refuseBroken(path: string): void {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  if (!isLink) return;
  try {
    statSync(path);
  } catch (cause) {
    const circle = cause instanceof Error && "code" in cause && cause.code === "ELOOP";
    const what = circle ? "leads in a circle" : "does not exist";
    throw new InvalidInput(`${path} is a link to ${readlinkSync(path)}, which ${what}; mend or remove it`, {
      cause,
    });
  }
}

type Naming = Pick<FoundFile, "name" | "relative" | "given">;

function localFile(path: string, naming: Naming): FoundFile {
  const info = infoOf(path, naming.name);
  const bytes = Number(info.size);
  const identity = [path, info.size, info.mtimeNs, info.ctimeNs, info.ino, info.dev];
  return {
    ...naming,
    path,
    bytes,
    version: JSON.stringify(identity.map(String)),
    settled: Number(info.ctimeMs) < Date.now() - SETTLED_MS,
    open: () => openFile(path),
    readStart: (length) => readStart(path, naming.name, length),
    isUnchanged: async () => {
      const now = await stat(path).catch((cause) => {
        if (!isMissing(cause)) throw cannotRead(path, naming.name, cause);
      });
      return now?.size === bytes;
    },
  };
}

function infoOf(path: string, name: string): BigIntStats {
  try {
    const info = statSync(path, { bigint: true });
    if (info.isFile()) return info;
  } catch (cause) {
    throw cannotRead(path, name, cause);
  }
  throw new InvalidInput(`${name} must be a file or a directory`);
}

async function readStart(path: string, name: string, length: number): Promise<Uint8Array> {
  const file = await open(path).catch((cause) => {
    throw cannotRead(path, name, cause);
  });
  try {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, length - done, done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  } catch (cause) {
    throw cannotRead(path, name, cause);
  } finally {
    await file.close();
  }
}

function cannotRead(path: string, name: string, cause: unknown): InvalidInput {
  const problem = isMissing(cause)
    ? `must name a file that exists; there is none at ${resolve(path)}`
    : `can't be read: ${describe(cause)}`;
  return new InvalidInput(`${name} ${problem}`, { cause });
}

async function openFile(path: string): Promise<RandomAccess> {
  const file = await openLocal(path);
  if (file === null) throw new InvalidInput(`${path} was removed while it was read; try again`);
  return file;
}
