import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Returns the folder for everything that can be made again, which all projects of this user share: the TensorFlow
 * library (`tensorflow-...`), other downloads, and texts as tokens (`datasets/`). `PS_CACHE_DIR` names another one; a user without a
 * home directory has one beside the jobs of a project.
 * Plain JavaScript, because the installer uses it before anything is built.
 */
export function cacheDirectory(env = process.env) {
  if (env.PS_CACHE_DIR) return resolve(env.PS_CACHE_DIR);
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "serverless-ps");
  const home = findHome();
  return home === null ? resolve(env.PS_DATA_DIR || ".ps", "cache") : join(home, ".cache", "serverless-ps");
}

/** Finds the home directory; null for a user without one: no HOME and no entry in the system's list of users. */
function findHome() {
  try {
    return homedir();
  } catch {
    return null;
  }
}
