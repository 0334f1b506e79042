import { spawnSync } from "node:child_process";
import { lstatSync, unlinkSync } from "node:fs";
import { basename, delimiter, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Removes the links to the Node that this package pins from the `.bin` folders that npm puts first on PATH, where that Node
 * can't run: it needs glibc, which Alpine does not have. All programs then find the Node that runs this.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {string[]} the links removed
 */
export function removeUnusableNode(env = process.env) {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const onPath = (env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder.endsWith(join("node_modules", ".bin")));
  const beside = basename(resolve(root, "..")) === "node_modules" ? [resolve(root, "..", ".bin")] : [];
  const folders = new Set(
    [...onPath, join(root, "node_modules", ".bin"), ...beside].map((folder) => resolve(folder)),
  );
  return [...folders]
    .map((folder) => `${folder}${sep}node`)
    .filter((link) => isLink(link) && !runs(link) && removed(link));
}

/** @param {string} path */
function isLink(path) {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** @param {string} program */
function runs(program) {
  return spawnSync(program, ["--version"], { stdio: "ignore", timeout: 20_000 }).status === 0;
}

/** @param {string} link */
function removed(link) {
  try {
    unlinkSync(link);
    return true;
  } catch (error) {
    console.warn(
      `${link} can't run here and can't be removed (${error instanceof Error ? error.message : error}); remove it`,
    );
    return false;
  }
}
