import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

/** Folders for temporary files, whose names say which process they are of: one that is killed can't remove its own. */

export type TemporaryKind = "model" | "graph" | "module" | "print";

/** Where else temporary files may be when the folder of TMPDIR can't be used, in the order of Python's `tempfile`. */
const OTHER_ROOTS = ["/tmp", "/var/tmp"];

const NAME = /^ps-(?:model|graph|module|print)-(?<host>.+)-(?<pid>\d+)-[^-]{6}$/;

const roots = (): readonly string[] => [...new Set([tmpdir(), ...OTHER_ROOTS])];

/**
 * Makes a temporary folder, which its caller removes. Removes those of processes that were killed first.
 *
 * @throws the system's error for the folder of TMPDIR, when no folder can be used
 */
export function makeTemporaryFolder(kind: TemporaryKind): string {
  for (const folder of abandonedFolders()) removeAbandoned(folder);
  const errors: unknown[] = [];
  for (const root of roots()) {
    try {
      return mkdtempSync(join(root, `ps-${kind}-${hostname()}-${process.pid}-`));
    } catch (error) {
      errors.push(error);
    }
  }
  throw errors[0];
}

/** Finds this user's temporary folders of processes of this machine that have ended. */
export function abandonedFolders(): string[] {
  return roots().flatMap((root) =>
    namesIn(root).flatMap((name) => (isAbandoned(root, name) ? join(root, name) : [])),
  );
}

/** Removes such a folder. Returns false when it is gone already, or can't be removed. */
export function removeAbandoned(folder: string): boolean {
  try {
    rmSync(folder, { recursive: true });
    return true;
  } catch {
    // Another process removes it too, or part of it is not this user's: nothing of this command depends on it.
    return false;
  }
}

function namesIn(root: string): string[] {
  try {
    return readdirSync(root);
  } catch {
    return [];
  }
}

function isAbandoned(root: string, name: string): boolean {
  const { host, pid } = NAME.exec(name)?.groups ?? {};
  if (host !== hostname() || isAlive(Number(pid))) return false;
  const found = statSync(join(root, name), { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}
