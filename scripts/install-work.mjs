/** The working folder of each run, in the cache folder, and the removal of those that killed runs left. */
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Unavailable } from "./install-run.mjs";

const DAY = 24 * 3600 * 1000;

/** @type {Set<string>} */
const mine = new Set();

/**
 * Makes a folder of this run's own beside the result, so that runs do not disturb each other and a rename ends the work.
 * @param {string} root
 */
export async function workDirectory(root) {
  try {
    // Others may read it, as the user of the worker's image does, and not write.
    await mkdir(root, { recursive: true, mode: 0o755 });
    const folder = await mkdtemp(`${workName(root)}-`);
    mine.add(folder);
    return folder;
  } catch (cause) {
    throw new Unavailable(
      `the folder ${root} cannot be written (${codeOf(cause)})`,
      "export PS_CACHE_DIR=/a/writable/folder",
    );
  }
}

/**
 * Names a file of this run in a shared folder, for a result that is renamed once it is whole.
 * @param {string} directory
 * @param {string} name
 */
export function workFile(directory, name) {
  const file = `${workName(directory)}-${name}`;
  mine.add(file);
  return file;
}

/** @param {string} directory */
function workName(directory) {
  return join(directory, `work-${hostname()}-${process.pid}`);
}

/** Removes this run's own folders and files at once, for a process that is about to end. */
export function removeWork() {
  // A killed child may write a last file meanwhile.
  for (const path of mine) rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/**
 * Removes what killed runs left: the work of dead processes of this host, and of any host after a day.
 * @param {string} root
 */
export async function sweep(root) {
  for (const name of await readdir(root).catch(() => [])) {
    const owner = /^work-(.+)-(\d+)-[^-]+$/.exec(name);
    if (owner === null) continue;
    const path = join(root, name);
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    const dead = owner[1] === hostname() && !isAlive(Number(owner[2]));
    if (dead || age > DAY) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** @param {unknown} error */
export function codeOf(error) {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
