import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const OWNER_ONLY = 0o700;

/**
 * Makes a folder that a person has named, and those above it that are missing. In place of Node's recursive mkdir, which
 * never returns where a folder that exists refuses another one with ENOENT, as /proc does.
 *
 * @returns the topmost folder that was made; undefined when all were there
 */
export function makeFolder(path: string, mode = OWNER_ONLY): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const above = dirname(path) === path ? undefined : makeFolder(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process may have made it meanwhile.
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
  return above ?? path;
}
