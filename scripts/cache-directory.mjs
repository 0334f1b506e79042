import { homedir } from "node:os";
import { join, resolve } from "node:path";

/**
 * Returns the folder for everything that can be made again, which all projects of this user share: the TensorFlow
 * library (`tensorflow-...`), other downloads, and texts as tokens (`datasets/`). `PS_CACHE_DIR` names another one.
 * Plain JavaScript, because the installer uses it before anything is built.
 */
export function cacheDirectory(env = process.env) {
  if (env.PS_CACHE_DIR) return resolve(env.PS_CACHE_DIR);
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "serverless-ps");
}
